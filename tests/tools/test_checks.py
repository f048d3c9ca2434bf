"""`dev.py test`: what it prepares, what pytest gets, how the tests are counted."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import group_of
from tools import checks
from tools.commands import parse
from tools.failure import Failure

Ran = list[tuple[list[str], dict[str, str]]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ran:
    """What pytest was called with, and its environment; nothing is run or prepared."""
    ran: Ran = []

    def run(command: list[str], cwd: Path, env: dict[str, str]) -> argparse.Namespace:
        ran.append((command, env))
        Path(env[checks.COUNTS]).write_text(json.dumps(checks.count_outcomes({})))
        return argparse.Namespace(returncode=0)

    monkeypatch.setattr(checks, "prepare_all", lambda dev: (Path("python"), tmp_path))
    monkeypatch.setattr(checks, "prepare_layer", lambda host: Path("python"))
    monkeypatch.setattr(checks, "prepare_beside", dict)
    monkeypatch.setattr(checks, "prepare_browser", lambda python: None)
    monkeypatch.setattr(checks.subprocess, "run", run)
    return ran


def run_tests(*arguments: str) -> int:
    return checks.test_command(*parse(["test", *arguments]))


def test_counts_by_folder():
    ended = {
        "passed": [
            "tests/core/test_a.py::one",
            "tests/test_top.py::five",
            "tests/tools/test_c.py::x",
        ],
        "failed": ["tests/core/test_a.py::TestB::two", "tests/tools/test_c.py::four"],
        "error": [
            "tests/tools/test_c.py::four",
            "tests/comfyui/test_d.py",
            "tests/tools/test_c.py::x",
        ],
        "skipped": ["tests/tools/test_c.py::three[a/b]"],
        "xfailed": ["tests/tools/test_c.py::six"],
        "warnings": ["tests/tools/test_c.py::seven"],
    }
    counts = checks.count_outcomes(
        {word: [SimpleNamespace(nodeid=test) for test in tests] for word, tests in ended.items()}
    )
    assert checks.summary_line(counts) == "2 passed, 4 failed, 2 skipped"
    assert counts["parts"] == {
        "comfyui": {"passed": 0, "failed": 1, "skipped": 0},
        "core": {"passed": 1, "failed": 1, "skipped": 0},
        "other": {"passed": 1, "failed": 0, "skipped": 0},
        "tools": {"passed": 0, "failed": 2, "skipped": 2},
    }


def test_the_counts_are_those_of_a_real_run(tmp_path):
    command = checks.pytest_command(
        Path(sys.executable), "by_folder", ["tests/tools/test_checks.py"], []
    )
    status, counts = checks.run_pytest(command, dict(os.environ))
    assert status == 0
    assert counts["parts"] == {"tools": {"passed": 1, "failed": 0, "skipped": 0}}
    with pytest.raises(Failure, match=r"wrote no result \(exit status 4\)"):
        checks.run_pytest([*command, "--no-such-option"], dict(os.environ))


def test_pytest_gets_what_follows_the_dashes():
    options, extra = parse(["test", "-k", "a", "--", "-x", "--json"])
    assert (options.k, options.json, extra) == ("a", None, ["-x", "--json"])
    every = checks.pytest_command(Path("python"), "a", extra, checks.all_tests())
    folders = {path.name for path in (checks.ROOT / "tests").iterdir() if any(path.rglob("test_*"))}
    assert {f"tests/{name}" for name in folders} == {
        word for word in every if word.startswith("tests/")
    }
    test = "tests/tools/test_downloads.py::test_x"
    named = checks.pytest_command(Path("python"), None, [test], checks.all_tests())
    assert named[-1] == test


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/browser/test_menus.py::test_x[newest-nodes2-1]", "newest"),
        ("tests/browser/test_menus.py::test_x", "tests/browser/test_menus.py"),
        ("tests/webui/pages/test_tab.py::test_x[DETOUR_GRADIO4]", "DETOUR_GRADIO4"),
        ("tests/comfyui/test_rows.py::test_x[own-canvas]", "comfyui"),
        ("tests/browser/test_menus.py::test_x[own-nodes2]", "own"),
        ("tests/comfyui_http/test_errors.py::test_x", "own"),
        ("tests/core/report/test_charts.py::test_x", "core/report"),
        ("tests/core/test_schedule.py::test_x[a::b]", "tests/core/test_schedule.py"),
    ],
)
def test_what_shares_a_server_goes_to_one_process(test, group):
    assert group_of(test) == group


@pytest.mark.parametrize("left_out", [True, False])
def test_the_browser_tests_can_be_left_out_which_is_said_loudly(left_out, ran, monkeypatch, capsys):
    done: list[str] = []
    monkeypatch.setattr(checks, "prepare_browser", lambda python: done.append("browser"))
    assert run_tests("--no-lint", *(["--no-browser"] if left_out else [])) == 0
    ignored = [word for word in ran[0][0] if word.startswith("--ignore=")]
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
def test_only_what_the_named_tests_need_is_prepared(named, browser, webui):
    assert checks.asks_for(checks.BROWSER, named) == browser
    assert checks.asks_for(checks.WEBUI, named) == webui


def test_the_tests_that_need_a_host_run_in_another_one(ran, capsys, tmp_path):
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").touch()
    (tmp_path / "comfyui_version.py").write_text('__version__ = "0.33.0"\n')
    (tmp_path / "requirements.txt").write_text("comfyui-frontend-package==1.49.6\n")
    told = tmp_path / "told.json"
    assert run_tests("--host", str(tmp_path), "--json", str(told)) == 0
    ((command, env),) = ran
    folders = {word for word in command if word.startswith("tests/")}
    assert folders == {"tests/browser", "tests/comfyui", "tests/comfyui_http", "tests/registry"}
    assert env["COMFYUI_PATH"] == str(tmp_path)
    assert "ComfyUI 0.33.0, frontends 1.49.6 and" in capsys.readouterr().out
    assert '"version": "0.33.0"' in told.read_text()


def test_a_folder_that_is_no_comfyui_is_refused(tmp_path):
    with pytest.raises(Failure, match=r"FOLDER is .*, which is not a ComfyUI folder"):
        run_tests("--host", str(tmp_path))


@pytest.mark.parametrize("good", [True, False])
def test_what_lint_finds_stands_behind_the_tests(ran, monkeypatch, capsys, good):
    monkeypatch.setattr(checks, "lint", lambda python: (good, f"{python}: x.py:3 is odd"))
    assert run_tests("--no-browser") == (not good)
    said = capsys.readouterr().out
    assert said.index("Tests: pytest") < said.index("python: x.py:3 is odd")
    assert ("Lint: failed" in said) != good


def test_lint_says_what_each_of_its_steps_said(monkeypatch):
    def run(command: list[str], **_: object) -> SimpleNamespace:
        name = " ".join(command[2:4])
        return SimpleNamespace(returncode=int("format" in name), stdout=f"[{name}]\n")

    monkeypatch.setattr(checks.subprocess, "run", run)
    good, said = checks.lint(Path("python"))
    assert not good and said.splitlines() == [
        "Lint: ruff check",
        "[ruff check]",
        "Lint: ruff format",
        "[ruff format]",
        "Lint: ruff format found something (see above)",
        "Lint: pyright",
        "[pyright --pythonpath]",
    ]


def test_old_torch_is_asked_for_by_name(ran, monkeypatch):
    monkeypatch.setattr(checks, "prepare_old_torch", lambda: {"DETOUR_OLD_TORCH": "there"})
    for options in ([], ["--old-torch"]):
        assert run_tests("--no-lint", *options) == 0
    assert ["DETOUR_OLD_TORCH" in env for _, env in ran] == [False, True]
