"""The environments beside the main one: what goes into each, and what is said without it."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import beside, environment
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
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Installs nothing; what pip was asked for."""
    asked: list[list[str]] = []

    def make_venv(folder: Path) -> None:
        python = environment.environment_python(folder)
        python.parent.mkdir(parents=True)
        python.touch()

    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(environment, "_make_venv", make_venv)
    monkeypatch.setattr(beside, "run_pip", lambda python, words, stage: asked.append(words))
    monkeypatch.setattr(beside, "NEEDED_GB", 0.0)
    monkeypatch.setattr(beside, "LAYER_GB", 0.0)
    return asked


def test_each_generation_has_its_own_and_once(asked):
    first = beside.prepare_beside(beside.GENERATIONS)
    assert set(first) == {"DETOUR_GRADIO3", "DETOUR_GRADIO4"}
    assert len(set(first.values())) == 2
    assert [words[-1] for words in asked] == list(map(str, beside.GENERATIONS.values()))
    assert beside.prepare_beside(beside.GENERATIONS) == first
    assert len(asked) == 2


def test_a_generation_that_cannot_be_had_is_said_and_left_out(asked, monkeypatch, capsys):
    def run_pip(_python: Path, _words: list[str], stage: str) -> None:
        if "gradio3" in stage:
            raise Failure("pip failed.")

    monkeypatch.setattr(beside, "run_pip", run_pip)
    assert set(beside.prepare_beside(beside.GENERATIONS)) == {"DETOUR_GRADIO4"}
    assert "NOT RUN: the tests with requirements-gradio3" in capsys.readouterr().out
    monkeypatch.setenv("CI", "1")
    with pytest.raises(Failure):
        beside.prepare_beside(beside.GENERATIONS)


@pytest.mark.parametrize("lacks", ["comfyui_version.py", "requirements.txt"])
def test_a_folder_that_says_too_little_is_refused(host, lacks):
    (host / lacks).unlink()
    with pytest.raises(Failure, match=lacks):
        beside.read_facts(host)
    (host / lacks).touch()
    with pytest.raises(Failure, match="does not say its version, or names no"):
        beside.read_facts(host)


def test_the_layer_takes_torch_from_the_shared_environment(host, asked, monkeypatch, tmp_path):
    for name in ("packages", "shared"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(beside, "prepare", lambda dev: Path("shared"))
    folders = {"shared": tmp_path / "shared"}
    monkeypatch.setattr(
        beside, "_packages", lambda python: folders.get(str(python), tmp_path / "packages")
    )
    folder = beside.prepare_layer(host).parents[1]
    wanted = (folder / "requirements.txt").read_text().splitlines()
    assert wanted == [
        "comfyui-frontend-package==1.49.6",
        "torchsde",
        "kornia>=0.7.1",
        "comfy_kitchen==0.2.31",
    ]
    pins = (folder / "constraints.txt").read_text().splitlines()
    assert [pin.split("==")[0] for pin in pins] == ["torch", "torchvision"]
    path = (tmp_path / "packages" / "detour-shared.pth").read_text()
    assert Path(path.strip()) == tmp_path / "shared"
    host_words, audio_words = asked
    assert "--upgrade" in host_words and "--no-deps" in audio_words
    (host / "requirements.txt").write_text(REQUIREMENTS.replace("0.2.31", "0.2.32"))
    assert beside.prepare_layer(host).parents[1] != folder


def test_elsewhere_it_cannot_be_had(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(Failure, match="needs Linux"):
        beside.prepare_old_torch()


@pytest.mark.skipif(
    sys.platform != "linux" or not all(map(shutil.which, ("cc", "nm", "readelf"))),
    reason="needs a C compiler on Linux",
)
def test_empty_libraries_have_the_symbols_that_are_wanted(tmp_path):
    real, wants, empty = (tmp_path / name for name in ("real", "wants", "empty"))
    real.mkdir()
    wants.mkdir()
    (real / "a.c").write_text("void *cudaThing(void) { return &cudaThing; }\n")
    (real / "map").write_text("libcudart.so.12 { global: *; };\n")
    (wants / "b.c").write_text("void *cudaThing(void); void *ask(void) { return cudaThing(); }\n")
    library = str(real / "libcudart.so.12")
    versions = f"-Wl,--version-script={real / 'map'},-soname,libcudart.so.12"
    for arguments in (
        ["-o", library, str(real / "a.c"), versions],
        ["-o", str(wants / "libtorch.so"), str(wants / "b.c"), library],
    ):
        subprocess.run(["cc", "-shared", "-fPIC", "-w", *arguments], check=True)
    beside._make_libraries(wants, empty)
    loaded = ctypes.CDLL(str(empty / "libcudart.so.12"))
    loaded.cudaThing.restype = ctypes.c_void_p
    assert loaded.cudaThing() is None
    with pytest.raises(Failure, match="C compiler and binutils"):
        beside._say("no-such-compiler")
