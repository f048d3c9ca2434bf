"""dev.py: every failure is one sentence and exit status 1; counts are counted right."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools import checks, commands
from tools.checks import count_outcomes, summary_line
from tools.failure import Failure
from tools.server import free_port

ROOT = Path(__file__).resolve().parents[2]
JUNIT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.core.test_a" name="one"/>
<testcase classname="tests.core.test_a.TestB" name="two"><failure message="x"/></testcase>
<testcase classname="tests.tools.test_c" name="three"><skipped message="x"/></testcase>
<testcase classname="tests.tools.test_c" name="four"><failure/><error/></testcase>
<testcase classname="" name="tests.comfyui.test_d"><error message="not collected"/></testcase>
<testcase classname="tests.test_top" name="five"/>
</testsuite></testsuites>"""


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


def test_help_names_every_command() -> None:
    result = dev("--help")
    assert result.returncode == 0
    assert all(f"\n  {name} " in result.stdout for name in commands.COMMANDS)
    assert dev().returncode == 1


def test_an_unknown_command() -> None:
    assert_one_sentence(dev("dmeo"))


@pytest.mark.parametrize("command", ["demo", "serve", "test", "train"])
def test_a_wrong_comfyui_path(tmp_path: Path, command: str) -> None:
    cache = str(tmp_path / "cache")
    result = dev(command, COMFYUI_PATH=str(tmp_path), DETOUR_CACHE=cache)
    assert_one_sentence(result)


def test_a_taken_port() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        result = dev("serve", "--port", port)
    assert_one_sentence(result)
    assert f"Port {port} is taken" in result.stdout


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_one_sentence(dev("lint", DETOUR_CACHE=str(tmp_path / "file" / "x")))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Failure("No network.", "the log"), "the log\nError: No network.\n"),
        (KeyboardInterrupt(), "Stopped.\n"),
        (PermissionError(13, "x", "a.txt"), "Error: Permission denied (a.txt).\n"),
    ],
)
def test_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    text: str,
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(commands, "stop_like_ctrl_c", lambda: None)
    monkeypatch.setitem(commands.COMMANDS, "lint", fail)
    assert commands.main(["lint"]) == 1
    assert capsys.readouterr().out == text


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(Failure, match=r"This checkout has no tools/nothing\.py"):
        commands.run_module("tools.nothing", [])


@pytest.mark.parametrize("arguments", [[], ["spurios"], ["--quick"]])
def test_the_evidence_wants_a_subject(arguments: list[str]) -> None:
    with pytest.raises(Failure, match=r"dev\.py evidence spurious"):
        commands.evidence_command(arguments)


@pytest.mark.parametrize("lacks", ["folder", "main.py"])
def test_examples_want_a_comfyui_folder(tmp_path: Path, lacks: str) -> None:
    (tmp_path / "comfy").mkdir()
    result = dev("examples", str(tmp_path / "absent" if lacks == "folder" else tmp_path))
    assert_one_sentence(result)
    assert f"FOLDER is {tmp_path}" in result.stdout
    assert f"no such {lacks}" in result.stdout or f"{lacks} missing" in result.stdout


@pytest.fixture
def examples_run(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of each run of the module that writes the example files; it fails."""
    runs: list[list[str]] = []

    def run(_python: Path, module: str, arguments: list[str], _more: dict[str, str]) -> int:
        assert commands.check_module(module) is None
        runs.append(arguments)
        return 1

    monkeypatch.setattr(commands, "_run", run)
    monkeypatch.setattr(commands, "prepare", lambda evidence: Path("python"))
    monkeypatch.setattr(commands, "prepare_all", lambda evidence: (Path("python"), Path("host")))
    return runs


def test_examples_go_into_the_folder_that_is_named(
    tmp_path: Path, examples_run: list[list[str]]
) -> None:
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").touch()
    assert commands.examples_command([str(tmp_path)]) == 1
    assert examples_run == [[str(tmp_path)]]


def test_serve_puts_the_examples_into_its_own_base(examples_run: list[list[str]]) -> None:
    assert commands.serve_command(["--examples", "--port", str(free_port())]) == 1
    ((base,),) = examples_run
    assert Path(base).parent.name == "serve"


def test_files_are_named_from_where_the_user_is(tmp_path: Path) -> None:
    given = ["--quick", "--json", "a.json", "--output=out", "--json", "--full"]
    assert commands.absolute_paths(given, tmp_path) == [
        "--quick",
        "--json",
        str(tmp_path / "a.json"),
        f"--output={tmp_path / 'out'}",
        "--json",
        "--full",
    ]


def test_an_old_python_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    import dev as entry

    monkeypatch.setattr(entry.sys, "version_info", (3, 8, 1))
    assert entry.main() == 1
    assert capsys.readouterr().out.startswith("Error: this needs Python 3.10 or newer")


def test_counts_by_folder(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    file.write_text(JUNIT)
    counts = count_outcomes(file)
    assert summary_line(counts) == "2 passed, 3 failed, 1 skipped"
    assert counts["parts"] == {
        "comfyui": {"passed": 0, "failed": 1, "skipped": 0},
        "core": {"passed": 1, "failed": 1, "skipped": 0},
        "other": {"passed": 1, "failed": 0, "skipped": 0},
        "tools": {"passed": 0, "failed": 1, "skipped": 1},
    }


def test_pytest_gets_what_follows_the_dashes() -> None:
    options, extra = checks.test_options(["-k", "a", "--", "-x", "--json"])
    assert (options.k, options.json, extra) == ("a", None, ["-x", "--json"])
    python, junit = Path("python"), Path("junit.xml")
    every = checks.pytest_command(python, junit, "a", extra, checks.all_tests())
    folders = {path.name for path in (checks.ROOT / "tests").iterdir() if any(path.rglob("test_*"))}
    assert {f"tests/{name}" for name in folders} == {
        word for word in every if word.startswith("tests/")
    }
    named = checks.pytest_command(
        python, junit, None, ["tests/tools/test_downloads.py::test_x"], checks.all_tests()
    )
    assert named[-1] == "tests/tools/test_downloads.py::test_x"
