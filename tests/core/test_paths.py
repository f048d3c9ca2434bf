"""Names that users type stay inside the folders that the host allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from detour.paths import new_path, resolve_inside


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    for name in ("first", "second", "outside"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / f"{name}.pth").touch()
    return [tmp_path / "first", tmp_path / "second"]


def test_the_first_folder_that_has_the_file_wins(roots: list[Path]) -> None:
    assert resolve_inside("sub/first.pth", roots) == roots[0].resolve() / "sub/first.pth"
    assert resolve_inside("sub/second.pth", roots) == roots[1].resolve() / "sub/second.pth"
    assert resolve_inside("./sub", roots) == roots[0].resolve() / "sub"


def test_the_spelling_of_windows_is_understood(roots: list[Path]) -> None:
    assert resolve_inside("sub\\second.pth", roots).name == "second.pth"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../outside/sub/outside.pth", r"'\.\.'"),
        ("sub/../../outside/sub/outside.pth", r"'\.\.'"),
        ("sub\\..\\..\\outside", r"'\.\.'"),
        ("/etc/passwd", "absolute"),
        ("C:\\Windows\\win.ini", "absolute"),
        ("C:win.ini", "absolute"),
        ("\\\\server\\share\\x.pth", "absolute"),
        ("", "empty"),
        ("  ", "empty"),
        ("a\0b", "control character"),
    ],
)
def test_names_that_lead_out_are_refused(roots: list[Path], name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        resolve_inside(name, roots)
    with pytest.raises(ValueError, match=sentence):
        resolve_inside(name, roots, must_exist=False)


def test_links_that_lead_out_are_refused(roots: list[Path], tmp_path: Path) -> None:
    (roots[0] / "folder").symlink_to(tmp_path / "outside")
    (roots[0] / "file.pth").symlink_to(tmp_path / "outside/sub/outside.pth")
    (roots[0] / "nowhere.pth").symlink_to(tmp_path / "outside/new.pth")
    for name in ("folder/sub/outside.pth", "file.pth", "folder", "nowhere.pth"):
        with pytest.raises(ValueError, match="link that leads out"):
            resolve_inside(name, roots, must_exist=False)


def test_links_inside_and_a_linked_root_are_followed(roots: list[Path], tmp_path: Path) -> None:
    (roots[0] / "alias.pth").symlink_to(roots[0] / "sub/first.pth")
    (tmp_path / "models").symlink_to(roots[0])
    assert resolve_inside("alias.pth", [tmp_path / "models"]).name == "first.pth"


def test_what_is_not_there(roots: list[Path]) -> None:
    with pytest.raises(FileNotFoundError, match=r"'no\.pth' was not found in"):
        resolve_inside("no.pth", roots)
    assert (
        resolve_inside("new/no.pth", roots, must_exist=False) == roots[0].resolve() / "new/no.pth"
    )
    with pytest.raises(ValueError, match="no folder"):
        resolve_inside("no.pth", [])


def test_a_new_path_takes_the_first_number_that_is_free(tmp_path):
    def new(**given):
        return new_path("sub/v1.5", ".safetensors", tmp_path, **given).name

    assert new() == "v1.5.safetensors"
    assert new(numbered=True) == "v1.5_00001.safetensors"
    (tmp_path / "sub").mkdir()
    for taken in ("v1.5.safetensors", "v1.5_00001.safetensors", "v1.5_00002.safetensors"):
        (tmp_path / "sub" / taken).touch()
    assert new() == new(numbered=True) == "v1.5_00003.safetensors"
    (tmp_path / "sub/v1.5_00003.json").touch()
    assert new() == "v1.5_00003.safetensors"
    assert new(beside=".json") == "v1.5_00004.safetensors"


def test_an_ending_of_two_parts_stays_whole(tmp_path):
    (tmp_path / "one.edit.json").touch()
    assert new_path("one.edit.json", ".edit.json", tmp_path).name == "one_00002.edit.json"


def test_a_name_that_no_system_takes_is_refused(tmp_path):
    for name in ("a" * 256, "\N{SNOWMAN}" * 86, f"sub/{'a' * 5000}.pth"):
        with pytest.raises(ValueError, match=r"bytes; 255 are possible: shorten it") as refusal:
            resolve_inside(name, [tmp_path])
        assert len(str(refusal.value)) < 100
        with pytest.raises(ValueError, match="shorten it"):
            new_path(name, ".edit.json", tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (".safetensors", "names no file"),
        ("", "names no file"),
        ("sub/", "names no file"),
        ("sub\\", "names no file"),
        (".", "names no file"),
        ("..safetensors", "names no file"),
        (".hidden", "begin it with"),
        ("a:b", "absolute"),
        ("a?.x", r"leave out \?"),
        ("../up", "leads out"),
        ("/root", "absolute"),
    ],
)
def test_names_for_new_files_that_cannot_be_written_are_refused(tmp_path, name, sentence):
    with pytest.raises(ValueError, match=sentence):
        new_path(name, ".safetensors", tmp_path)
