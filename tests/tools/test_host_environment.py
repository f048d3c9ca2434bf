"""`dev.py test --host`: an environment of a ComfyUI's own requirements, over the shared torch."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tools import beside, checks, environment
from tools.failure import Failure

REQUIREMENTS = """comfyui-frontend-package==1.49.6
comfyui-workflow-templates==0.11.44
torch
torchsde
TorchVision>=0.1
torchaudio

#non essential dependencies:
kornia>=0.7.1
comfy_kitchen==0.2.31
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a ComfyUI's, and a cache of its own."""
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "ComfyUI"
    (folder / "comfy").mkdir(parents=True)
    (folder / "main.py").touch()
    (folder / "comfyui_version.py").write_text('# made\n__version__ = "0.33.0"\n')
    (folder / "requirements.txt").write_text(REQUIREMENTS)
    return folder


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Installs nothing; what pip was asked for, by stage."""
    asked: list[tuple[str, list[str]]] = []

    def make_venv(folder: Path) -> None:
        python = environment.environment_python(folder)
        python.parent.mkdir(parents=True)
        python.touch()

    def run_pip(_python: Path, arguments: list[str], stage: str, _log: Path) -> None:
        asked.append((stage, arguments))

    def packages(python: Path) -> Path:
        folder = python.parents[1] / "packages"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    monkeypatch.setattr(beside, "make_venv", make_venv)
    monkeypatch.setattr(beside, "run_pip", run_pip)
    monkeypatch.setattr(beside, "_packages", packages)
    monkeypatch.setattr(beside, "prepare", lambda dev: Path("shared"))
    monkeypatch.setattr(beside, "LAYER_GB", 0.0)
    return asked


def test_facts_are_read_from_the_folder(host: Path) -> None:
    assert beside.read_facts(host) == beside.HostFacts("0.33.0", "1.49.6")


@pytest.mark.parametrize("lacks", ["comfyui_version.py", "requirements.txt"])
def test_a_folder_that_says_too_little_is_refused(host: Path, lacks: str) -> None:
    (host / lacks).unlink()
    with pytest.raises(Failure, match=lacks):
        beside.read_facts(host)
    (host / lacks).touch()
    with pytest.raises(Failure, match="does not say its version, or names no"):
        beside.read_facts(host)


def test_the_layer_takes_torch_from_the_shared_environment(
    host: Path, built: list[tuple[str, list[str]]]
) -> None:
    python = beside.prepare_layer(host)
    folder = python.parents[1]
    wanted = (folder / "requirements.txt").read_text().splitlines()
    assert wanted == [
        "comfyui-frontend-package==1.49.6",
        "torchsde",
        "kornia>=0.7.1",
        "comfy_kitchen==0.2.31",
    ]
    pins = (folder / "constraints.txt").read_text().splitlines()
    assert [pin.split("==")[0] for pin in pins] == ["torch", "torchvision"]
    path = (folder / "packages" / "detour-shared.pth").read_text()
    assert Path(path.strip()).parent == environment.environment_folder()
    (host_words, audio_words) = (words for _, words in built)
    assert "--upgrade" in host_words and "--no-deps" in audio_words
    beside.prepare_layer(host)
    assert len(built) == 2, "built once"


def test_another_requirement_makes_another_layer(host: Path) -> None:
    before = beside.layer_folder(host)
    (host / "requirements.txt").write_text(REQUIREMENTS.replace("0.2.31", "0.2.32"))
    assert beside.layer_folder(host) != before


def test_the_command_runs_the_tests_that_need_a_host(
    host: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    ran: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], cwd: Path, env: dict[str, str]) -> argparse.Namespace:
        ran.append((command, env))
        (file,) = [word for word in command if word.startswith("--junitxml=")]
        Path(file.removeprefix("--junitxml=")).write_text("<testsuites/>", encoding="utf-8")
        return argparse.Namespace(returncode=0)

    monkeypatch.setattr(checks, "prepare_layer", lambda host: Path("python"))
    monkeypatch.setattr(checks, "prepare_browser", lambda python: None)
    monkeypatch.setattr(checks, "prepare_beside", dict)
    monkeypatch.setattr(checks.subprocess, "run", run)
    told = tmp_path / "told.json"
    assert checks.test_command(["--host", str(host), "--json", str(told)]) == 0
    ((command, env),) = ran
    folders = {word for word in command if word.startswith("tests/")}
    assert folders == {*("tests/browser", "tests/comfyui", "tests/comfyui_http", "tests/registry")}
    assert env["COMFYUI_PATH"] == str(host)
    assert "ComfyUI 0.33.0, frontends 1.49.6 and" in capsys.readouterr().out
    assert '"version": "0.33.0"' in told.read_text()


def test_a_folder_that_is_no_comfyui_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"FOLDER is .*, which is not a ComfyUI folder"):
        checks.test_command(["--host", str(tmp_path)])
