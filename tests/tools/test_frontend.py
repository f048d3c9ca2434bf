"""What the browser tests need: found, fetched once, said or refused when it is not there."""

from __future__ import annotations

import argparse
import subprocess
import zipfile
from pathlib import Path

import pytest

from tools import checks, downloads
from tools.failure import Failure

PAGE = "comfyui_frontend_package/static/index.html"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, and no CI."""
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(downloads, "FRONTEND_GB", 0.0)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Downloads nothing: pip writes a wheel with one page; what it was asked for is noted."""
    stages: list[str] = []

    def run_pip(python: Path, arguments: list[str], stage: str, log: Path) -> None:
        stages.append(stage)
        wheel = Path(arguments[arguments.index("-d") + 1]) / "frontend.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(PAGE, "<html>")

    monkeypatch.setattr(downloads, "run_pip", run_pip)
    return stages


def chromium_is(monkeypatch: pytest.MonkeyPatch, *found: str | None) -> None:
    """What `shutil.which` says of every browser: one answer for each search."""
    answers = list(found)

    def chromium() -> Path | None:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return Path(answer) if answer else None

    monkeypatch.setattr(downloads, "chromium", chromium)


def test_the_frontend_is_pinned_and_its_folder_named_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = downloads.newest_frontend()
    assert before.parent == tmp_path / "cache"
    assert downloads.newest_version() in before.name
    other = tmp_path / "requirements.txt"
    other.write_text("comfyui-frontend-package==9.9.9\n", encoding="utf-8")
    monkeypatch.setattr(downloads, "FRONTEND_REQUIREMENT", other)
    assert downloads.newest_version() == "9.9.9"
    assert downloads.newest_frontend() != before


def test_the_frontend_is_fetched_once(
    monkeypatch: pytest.MonkeyPatch, fetched: list[str], tmp_path: Path
) -> None:
    chromium_is(monkeypatch, "chromium")
    for _ in range(2):
        downloads.prepare_browser(Path("python"))
    assert fetched == [f"fetching the frontend {downloads.newest_version()}"]
    assert (downloads.newest_frontend() / "index.html").read_text(encoding="utf-8") == "<html>"
    assert list((tmp_path / "cache" / "tmp").iterdir()) == [], "nothing is left behind"


@pytest.mark.parametrize("name", ["other/index.html", ""])
def test_a_wheel_without_a_page_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, fetched: list[str]
) -> None:
    """A page in another place, and a file that is no archive."""

    def run_pip(python: Path, arguments: list[str], stage: str, log: Path) -> None:
        wheel = Path(arguments[arguments.index("-d") + 1]) / "frontend.whl"
        wheel.write_bytes(b"")
        if name:
            with zipfile.ZipFile(wheel, "w") as archive:
                archive.writestr(name, "<html>")

    chromium_is(monkeypatch, "chromium")
    monkeypatch.setattr(downloads, "run_pip", run_pip)
    monkeypatch.setenv("CI", "1")
    with pytest.raises(Failure, match="frontend"):
        downloads.prepare_browser(Path("python"))
    assert not downloads.newest_frontend().exists()


def test_without_chromium_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, fetched: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    chromium_is(monkeypatch, None)
    downloads.prepare_browser(Path("python"))
    told = capsys.readouterr().out
    assert "apt-get install chromium" in told and "--no-browser" in told
    assert fetched == []


def test_ci_installs_chromium_and_then_goes_on(
    monkeypatch: pytest.MonkeyPatch, fetched: list[str]
) -> None:
    calls: list[list[str]] = []

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
def test_in_ci_a_missing_chromium_is_a_failure(
    which: str | None, sentence: str, monkeypatch: pytest.MonkeyPatch, fetched: list[str]
) -> None:
    monkeypatch.setenv("CI", "1")
    chromium_is(monkeypatch, None)
    monkeypatch.setattr(downloads.shutil, "which", lambda name: which)
    failed = subprocess.CompletedProcess([], 100)
    monkeypatch.setattr(downloads.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(Failure, match=sentence):
        downloads.prepare_browser(Path("python"))


@pytest.mark.parametrize("left_out", [True, False])
def test_the_browser_tests_can_be_left_out_which_is_said_loudly(
    left_out: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    done: list[str] = []
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> argparse.Namespace:
        commands.append(command)
        (file,) = [word for word in command if word.startswith("--junitxml=")]
        Path(file.removeprefix("--junitxml=")).write_text("<testsuites/>", encoding="utf-8")
        return argparse.Namespace(returncode=0)

    monkeypatch.setattr(checks, "prepare_all", lambda dev: (Path("python"), tmp_path))
    monkeypatch.setattr(checks, "prepare_beside", dict)
    monkeypatch.setattr(checks, "prepare_browser", lambda python: done.append("browser"))
    monkeypatch.setattr(checks.subprocess, "run", run)
    options = ["--no-lint", *(["--no-browser"] if left_out else [])]
    assert checks.test_command(options) == 0
    ignored = [word for word in commands[0] if word.startswith("--ignore=")]
    assert ignored == ([f"--ignore={checks.ROOT / checks.BROWSER}"] if left_out else [])
    assert done == ([] if left_out else ["browser"])
    assert (checks.LEFT_OUT in capsys.readouterr().out) == left_out


@pytest.mark.parametrize(
    ("named", "browser", "webui"),
    [
        (checks.all_tests(), True, True),
        (checks.all_tests(in_host=True), True, False),
        (["tests"], True, True),
        (["./tests/browser/test_menus.py::test_x"], True, False),
        (["tests/webui"], False, True),
        (["tests/core"], False, False),
    ],
)
def test_only_what_the_named_tests_need_is_prepared(
    named: list[str], browser: bool, webui: bool
) -> None:
    assert checks.asks_for(checks.BROWSER, named) == browser
    assert checks.asks_for(checks.WEBUI, named) == webui
