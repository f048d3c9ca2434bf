"""The environments beside the main one: cached, and left out where one cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import beside, environment
from tools.environment import PackageMissing
from tools.failure import Failure


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Installs nothing: an environment is an empty file named like its Python."""
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    seen: list[str] = []

    def make_venv(folder: Path) -> None:
        python = environment.environment_python(folder)
        python.parent.mkdir(parents=True)
        python.touch()

    monkeypatch.setattr(beside, "make_venv", make_venv)
    monkeypatch.setattr(beside, "run_pip", lambda python, options, stage, log: seen.append(stage))
    monkeypatch.setattr(beside, "NEEDED_GB", 0.0)
    return seen


def test_each_generation_is_built_once(stages: list[str]) -> None:
    first = beside.prepare_beside(beside.GENERATIONS)
    assert set(first) == {"DETOUR_GRADIO3", "DETOUR_GRADIO4"}
    assert len(set(first.values())) == 2
    assert stages == ["installing gradio3", "installing gradio4"]
    assert beside.prepare_beside(beside.GENERATIONS) == first
    assert len(stages) == 2


def test_a_generation_that_cannot_be_had_is_said_and_left_out(
    stages: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def run_pip(python: Path, options: list[str], stage: str, log: Path) -> None:
        if "gradio3" in stage:
            raise PackageMissing("The package Pillow==9.5.0 cannot be had.")

    monkeypatch.setattr(beside, "run_pip", run_pip)
    assert set(beside.prepare_beside(beside.GENERATIONS)) == {"DETOUR_GRADIO4"}
    assert "NOT RUN: the tests with requirements-gradio3" in capsys.readouterr().out
    monkeypatch.setenv("CI", "1")
    with pytest.raises(Failure):
        beside.prepare_beside(beside.GENERATIONS)


def test_everything_is_pinned() -> None:
    files = (
        *beside.GENERATIONS.values(),
        *beside.REGISTRY.values(),
        environment.WEBUI_REQUIREMENTS,
    )
    lines = environment.requirement_lines(*files)
    assert len(lines) > 10
    assert all("==" in line.split(";")[0] for line in lines)
