"""dev.py: every failure is one sentence and exit status 1; what each one starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import commands
from tools.failure import Failure
from tools.server import free_port

ROOT = Path(__file__).resolve().parents[2]


def dev(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run dev.py from another folder, as people do."""
    return subprocess.run(
        [sys.executable, str(ROOT / "dev.py"), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT / "tests",
        env={**os.environ, **environment},
        timeout=60,
    )


def assert_one_sentence(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.stdout + result.stderr


def test_help_names_every_command():
    result = dev("--help")
    assert result.returncode == 0
    for name in "demo serve examples test lint bench evidence gpu train train-classifiers".split():
        assert f"\n    {name} " in result.stdout or f"\n    {name}\n" in result.stdout
    assert dev().stdout == dev("help").stdout == result.stdout


@pytest.mark.parametrize("words", ["dmeo", "lint --fix", "evidence", "evidence spurios", "gpu --x"])
def test_what_there_is_not(words):
    result = dev(*words.split())
    assert result.returncode == 2
    assert "dev.py" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["demo", "serve", "test", "train"])
def test_a_wrong_comfyui_path(tmp_path, command):
    cache = str(tmp_path / "cache")
    result = dev(command, COMFYUI_PATH=str(tmp_path), DETOUR_CACHE=cache)
    assert_one_sentence(result)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Failure("No network.", "the log"), "the log\nError: No network.\n"),
        (KeyboardInterrupt(), "Stopped.\n"),
        (PermissionError(13, "x", "a.txt"), "Error: Permission denied (a.txt).\n"),
    ],
)
def test_no_traceback(monkeypatch, capsys, error, text):
    def fail(dev: bool) -> Path:
        raise error

    monkeypatch.setattr(commands, "stop_like_ctrl_c", lambda: None)
    monkeypatch.setattr(commands.checks, "prepare", fail)
    assert commands.main(["lint"]) == 1
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("lacks", ["folder", "main.py"])
def test_examples_want_a_comfyui_folder(tmp_path, lacks):
    (tmp_path / "comfy").mkdir()
    result = dev("examples", str(tmp_path / "absent" if lacks == "folder" else tmp_path))
    assert_one_sentence(result)
    assert f"FOLDER is {tmp_path}" in result.stdout
    assert f"no such {lacks}" in result.stdout or f"{lacks} missing" in result.stdout


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Each module that is run, with its arguments; it fails."""
    runs: list[list[str]] = []

    def run(_python: Path, module: str, arguments: list[str], _more: dict[str, str]) -> int:
        runs.append([module, *arguments])
        return 1

    monkeypatch.setattr(commands, "_run", run)
    monkeypatch.setattr(commands, "stop_like_ctrl_c", lambda: None)
    monkeypatch.setattr(commands, "prepare", lambda evidence: Path("python"))
    both = (Path("python"), Path("host"))
    monkeypatch.setattr(commands, "prepare_all", lambda **_: both)
    return runs


def test_examples_go_into_the_folder_that_is_named(tmp_path, runs):
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").touch()
    assert commands.main(["examples", str(tmp_path)]) == 1
    assert runs == [["evidence.example_files", str(tmp_path)]]


def test_serve_puts_the_examples_into_its_own_base(runs):
    assert commands.main(["serve", "--examples", "--port", str(free_port())]) == 1
    ((_, base),) = runs
    assert Path(base).parent.name == "serve"


def test_options_go_to_the_module(runs):
    for words in ("demo --quick --json a.json", "bench --help", "evidence spurious --json b -k c"):
        commands.main(words.split())
    assert runs == [
        ["demo.run", "--quick", "--json", "a.json"],
        ["tools.bench", "--help"],
        ["evidence.spurious", "--json", "b", "-k", "c"],
    ]
    commands.main(["evidence", "dial", "--quick"])
    assert runs[-1] == ["evidence.dial", "--quick"]
    for command, (module, _) in commands.MODULES.items():
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), command


def test_files_are_named_from_where_the_user_is(tmp_path):
    given = ["--quick", "--json", "a.json", "--output=out", "--json", "--full"]
    assert commands.absolute_paths(given, tmp_path) == [
        "--quick",
        "--json",
        str(tmp_path / "a.json"),
        f"--output={tmp_path / 'out'}",
        "--json",
        "--full",
    ]


def test_an_old_python_is_told_so(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT))
    import dev as entry

    monkeypatch.setattr(entry.sys, "version_info", (3, 8, 1))
    assert entry.main() == 1
    assert capsys.readouterr().out.startswith("Error: this needs Python 3.10 or newer")
