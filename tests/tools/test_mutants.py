"""Mutants: what is changed in a source, which changes the tests notice, and what never ends."""

import sys

import pytest

from tools import checks, commands, mutants
from tools.failure import Failure
from tools.mutations import mutants as made

SOURCE = '''"""A text with 1 and True."""
LEAST_BYTES = 2**20
Number = int | float


def steps(count: int = 1, name: "1" = "1") -> list:
    """Numbers from 0."""
    found = []
    while len(found) < count:
        found.append(len(found))
    if name and not count:
        raise ValueError(f"{count + 1}" if count > 2 else "none")
    for place, one in zip(found, found, strict=True):
        if place != one:
            continue
    return found
'''
TESTS = """import pytest
from detour.small import steps

def test_steps():
    assert steps(1) == [0]
    assert steps(3) == [0, 1, 2]
    with pytest.raises(ValueError):
        steps(0)
"""


def test_one_thing_is_changed_at_a_time_and_texts_and_hints_are_not():
    found = made(SOURCE)
    assert [(m.line, m.old, m.new) for m in found] == [
        (6, "1", "2"),
        (9, "len(found) < count", "len(found) <= count"),
        (11, "name and (not count)", "name or not count"),
        (11, "not count", "not not count"),
        (14, "place != one", "place == one"),
        (15, "continue", "break"),
        (16, "return found", "return None"),
    ]
    assert len({m.source for m in found}) == len(found)
    assert made(SOURCE) == found


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("x = a + b * -c", ["a - b * -c", "b / -c", "+c"]),
        ("x = a < b <= c", ["a <= b <= c", "a < b < c"]),
        ("x = a if b else True", ["a if not b else True", "False"]),
        ("x = [a for a in b if a]", [" for a in b if not a"]),
        ("x |= a is None", ["x &= a is None", "a is not None"]),
        ("x = a and (b or 0.5)", ["a or (b or 0.5)", "b and 0.5", "1.5"]),
        ("if a: pass", ["not a"]),
        ("x = a @ b % c // d", None),
    ],
)
def test_every_kind_of_change(source, changes):
    found = made(source)
    if changes is not None:
        assert [m.new.strip() for m in found] == [change.strip() for change in changes]
    for mutant in found:
        compile(mutant.source, "", "exec")
        assert mutant.source.strip() != source


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small project; its libraries are none."""
    for name, text in (("detour/small.py", SOURCE), ("tests/test_small.py", TESTS)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    (tmp_path / "detour/__init__.py").touch()
    monkeypatch.setattr(mutants, "LIBRARIES", ("pytest", "hypothesis"))
    monkeypatch.setattr(mutants, "SPARE_SECONDS", 2.0)
    return tmp_path


def test_survivors_are_those_that_no_test_notices(tree):
    """One more runs for ever: it is ended, and counts as noticed."""
    endless = SOURCE.replace("found.append(len(found))", "pass")
    tried = [m for m in made(SOURCE) if m.line in (6, 9, 14)]
    tried += [mutants.Mutant(10, "found.append(len(found))", "pass", endless)]
    found = mutants.survivors(tree, "detour/small.py", ["tests/test_small.py"], tried, 2)
    assert [(m.line, m.new) for m in found] == [(6, "2"), (14, "place == one")]


def test_tests_that_fail_anyway_are_told(tree):
    (tree / "tests/test_small.py").write_text("def test_it():\n    assert 'never' == 'so'\n")
    with pytest.raises(Failure, match=r"tests of detour/small\.py fail") as caught:
        mutants.survivors(tree, "detour/small.py", ["tests/test_small.py"], [], 1)
    assert "never" in caught.value.details


@pytest.fixture
def small(tree, monkeypatch):
    """The small project as what `main` works on."""
    monkeypatch.setattr(mutants, "ROOT", tree)
    monkeypatch.setattr(mutants, "COPIED", ("detour", "tests"))
    monkeypatch.setattr(mutants, "SUITES", {"detour/small.py": ["tests/test_small.py"]})


def test_too_many_survivors_fail_and_equivalent_ones_do_not_count(small, tree, monkeypatch, capsys):
    before = (tree / "detour/small.py").stat().st_mtime_ns
    assert mutants.main(["detour/small.py:6"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "detour/small.py:6  1  ->  2",
        "detour/small.py: 1 of 1 survive",
        "1 of 1 mutants survive (100.0%)",
    ]
    line = 'def steps(count: int = 1, name: "1" = "1") -> list:'
    monkeypatch.setattr(mutants, "EQUIVALENT", {(line, "1"): "nobody leaves it out"})
    assert mutants.main(["detour/small.py:6"]) == 0
    assert "0 of 0 mutants survive" in capsys.readouterr().out
    assert (tree / "detour/small.py").stat().st_mtime_ns == before


def test_a_file_without_tests_of_its_own_is_refused(capsys):
    assert mutants.main(["detour/words.py"]) == 1
    assert "named for detour/words.py; there are detour/schedule.py" in capsys.readouterr().out


def test_what_is_changed_and_what_tries_it_is_there_and_each_exception_too():
    lines = set()
    for file, tests in mutants.SUITES.items():
        assert all((mutants.ROOT / test).is_file() for test in tests)
        source = (mutants.ROOT / file).read_text(encoding="utf-8")
        stripped = [line.strip() for line in source.splitlines()]
        lines |= {(stripped[m.line - 1], m.old) for m in made(source)}
    assert set(mutants.EQUIVALENT) <= lines


@pytest.mark.parametrize(
    ("words", "only"), [([], []), (["detour/schedule.py:7"], ["detour/schedule.py:7"])]
)
def test_dev_py_hands_the_file_on(monkeypatch, words, only):
    seen = []

    class Done:
        returncode = 1

    monkeypatch.setattr(checks, "prepare", lambda **_: sys.executable)
    monkeypatch.setattr(checks.subprocess, "run", lambda command, **_: seen.append(command) or Done)
    options, extra = commands.parse(["test", "--mutants", *words])
    assert checks.test_command(options, extra) == 1
    assert seen == [[sys.executable, "-m", "tools.mutants", *only]]
