"""Names that users type stay inside the folders that the host allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from detour.files import new_names, resolve_inside, stay_inside, write_new


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
        (0, "0, which is no text"),
        ("  ", "empty"),
        ("a\0b", "control character"),
    ],
)
def test_names_that_lead_out_are_refused(roots: list[Path], name: object, sentence: str) -> None:
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


def test_a_name_that_no_system_takes_is_refused(tmp_path):
    for name in ("a" * 256, "\N{SNOWMAN}" * 86, f"sub/{'a' * 5000}.pth", "a/" * 100_000):
        with pytest.raises(ValueError, match=r"255 bytes are possible: shorten it") as refusal:
            resolve_inside(name, [tmp_path])
        assert len(str(refusal.value)) < 160
        with pytest.raises(ValueError, match="shorten it"):
            next(new_names(name, ".edit.json"))


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
        ("sub/a:b", "leave out :"),
        ("a?.x", r"leave out \?"),
        ("../up", "leads out"),
        ("/root", "absolute"),
        ("CON", "device"),
        ("aux.v2", "device"),
        ("nul/x", "device"),
        ("sub/Lpt1", "device"),
        ("COM\u00b2", "device"),
        ("sub./x", "dots and spaces"),
        ("sub /x", "dots and spaces"),
        ("x.", "dots and spaces"),
        ("a\ud800", "cannot be written"),
        ("a\x7fb", "control character"),
        ("a\u2028b", "control character"),
    ],
)
def test_names_for_new_files_that_cannot_be_written_are_refused(tmp_path, name, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        write_new(Path.touch, name, ".safetensors", tmp_path)
    assert list(tmp_path.iterdir()) == []
    str(refusal.value).encode("utf-8")


def test_names_that_only_look_like_devices_are_fine(tmp_path):
    for name in ("CONcept", "com", "lpt10", "aux_1", "my.con"):
        assert next(new_names(name, ".pt")) == f"{name}.pt"


def test_a_users_own_links_may_lead_anywhere_and_keep_their_name(roots, tmp_path):
    outside = tmp_path / "outside"
    (roots[0] / "net.pth").symlink_to(outside / "sub" / "outside.pth")
    (roots[0] / "folder").symlink_to(outside)
    (tmp_path / "models").symlink_to(roots[0])
    for root in (roots[0], tmp_path / "models"):
        found = resolve_inside("net.pth", [root], links=True)
        assert found == roots[0].resolve() / "net.pth" and found.is_file()
        found = resolve_inside("folder/sub/outside.pth", [root], links=True)
        assert found == roots[0].resolve() / "folder/sub/outside.pth"
        for name, sentence in (("../outside", r"'\.\."), ("/etc/passwd", "absolute")):
            with pytest.raises(ValueError, match=sentence):
                resolve_inside(name, [root], links=True)
        with pytest.raises(ValueError, match="leads out"):
            stay_inside(root / ".." / "outside", root, links=True)


def test_a_folder_with_the_same_beginning_is_another_one(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models2").mkdir()
    with pytest.raises(ValueError, match="leads out"):
        stay_inside(tmp_path / "models2", tmp_path / "models")
    assert stay_inside(tmp_path / "models", tmp_path / "models") == tmp_path / "models"
    assert stay_inside("/etc", "/") == Path("/etc")
