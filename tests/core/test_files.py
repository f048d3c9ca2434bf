"""Files written whole, under names of their own; and what is no file is not opened."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from detour.files import ABANDONED, classifier_names, open_file, write_new, write_whole


def new(folder, name="sub/v1.5", ending=".safetensors", text="new", **given):
    return write_new(lambda draft: draft.write_text(text), name, ending, folder, **given)


def test_a_new_file_takes_the_first_number_that_is_free(tmp_path):
    assert new(tmp_path).name == "v1.5.safetensors"
    assert new(tmp_path, numbered=True).name == "v1.5_00001.safetensors"
    assert new(tmp_path).name == "v1.5_00002.safetensors"
    assert new(tmp_path, numbered=True).name == "v1.5_00003.safetensors"
    (tmp_path / "sub/v1.5_00004.json").touch()
    assert new(tmp_path, beside=".json").name == "v1.5_00005.safetensors"
    assert new(tmp_path).name == "v1.5_00004.safetensors"
    assert new(tmp_path, "one.edit.json", ".edit.json").name == "one.edit.json"
    assert new(tmp_path, "one.edit.json", ".edit.json").name == "one_00002.edit.json"


@pytest.mark.parametrize("links", [True, False])
def test_saves_at_the_same_moment_lose_none(tmp_path, monkeypatch, links):
    """16 answers used to be 13 files: the name was chosen first and written to later."""
    if not links:  # as on FAT and some network drives

        def no_links(*_):
            raise PermissionError

        monkeypatch.setattr(os, "link", no_links)
    for round_ in range(4):
        barrier = threading.Barrier(16)
        paths = {}

        def save(number, barrier=barrier, paths=paths, round_=round_):
            barrier.wait()
            paths[number] = new(tmp_path, f"round{round_}", text=str(number))

        threads = [threading.Thread(target=save, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(paths.values())) == 16
        assert all(path.read_text() == str(number) for number, path in paths.items())
    assert len(list(tmp_path.iterdir())) == 4 * 16


def test_a_file_that_is_there_is_never_replaced_even_if_it_came_late(tmp_path):
    def write(draft):
        (tmp_path / "a.txt").write_text("somebody else's")  # while we were writing
        draft.write_text("ours")

    assert write_new(write, "a", ".txt", tmp_path).name == "a_00002.txt"
    assert (tmp_path / "a.txt").read_text() == "somebody else's"


@pytest.mark.parametrize("fail", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_nothing(tmp_path, fail):
    def write(draft):
        draft.write_text("half")
        raise fail

    (tmp_path / "old.txt").write_text("old")
    with pytest.raises(fail):
        write_whole(tmp_path / "old.txt", write)
    with pytest.raises(fail):
        write_new(write, "new", ".txt", tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.txt", "old")]


def test_only_our_own_old_drafts_go_at_the_next_save(tmp_path):
    names = {
        ".detour-0123456789abcdef.part": False,
        ".detour-0123456789abcdef.txt": True,
        ".detour-mine.part": True,
        ".0123456789abcdef.part": True,
        "detour-0123456789abcdef.part": True,
        ".detour-fedcba9876543210.part": True,  # as new as one that is being written
    }
    for name in names:
        (tmp_path / name).write_text("x")
        past = time.time() - ABANDONED - 60
        if "fedc" not in name:
            os.utime(tmp_path / name, (past, past))
    new(tmp_path, "a", ".txt")
    assert {name for name in names if (tmp_path / name).exists()} == {
        name for name, stays in names.items() if stays
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_folders_and_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", type(tmp_path)("/dev/zero")):
        with pytest.raises(ValueError, match=f"{path.name}' is no plain file"):
            open_file(path)
    (tmp_path / "file").write_bytes(b"1")
    with open_file(tmp_path / "file") as file:
        assert file.read() == b"1"


def test_a_name_that_was_claimed_in_vain_is_free_again(tmp_path, monkeypatch):
    """A file system without links, and a rename that fails: no empty file stays behind."""

    def fails(*_):
        raise PermissionError("as asked")

    monkeypatch.setattr(os, "link", fails)
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(PermissionError):
        write_new(lambda draft: draft.write_bytes(b"x"), "mine", ".bin", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_itself_is_no_file(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(ValueError, match="'a' is a link to itself"):
        open_file(tmp_path / "a")


def test_classifiers_are_listed_by_file_and_folders_with_a_configuration_by_name(
    tmp_path: Path,
) -> None:
    for name in (
        *("a.ckpt", "b.safetensors", "c.onnx", "d/e.pth", "in_parts/config.json"),
        *("in_parts/model-1.safetensors", "in_parts/model-2.safetensors", "bin/config.json"),
        *("bin/pytorch_model.bin", "bin/training_args.bin", "onnx/config.json", "onnx/model.onnx"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert classifier_names([tmp_path]) == ["a.ckpt", "b.safetensors", "bin", "d/e.pth", "in_parts"]
