"""The cached environment: named by its content, finished or remade, one builder at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import environment
from tools.failure import Failure

ROOT = Path(__file__).resolve().parents[2]
KEY = "0123456789ab"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def empty_venv(folder: Path) -> None:
    """Not worth the seconds of a real one: an empty file named like the Python."""
    python = environment.environment_python(folder)
    python.parent.mkdir(parents=True)
    python.touch()


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes an environment, empty but for what `fill` puts there."""
    monkeypatch.setattr(environment, "_make_venv", empty_venv)

    def build(fill: Callable[[Path], None] = lambda _: None, needed_gb: float = 0.0) -> Path:
        folder = tmp_path / "cache" / "venv"
        return environment.build(folder, "test.stamp", KEY, needed_gb, "a test", fill)

    return build


def refuse(_: Path) -> None:
    raise AssertionError("it was built again")


def interrupt(_: Path) -> None:
    raise KeyboardInterrupt


def test_the_key_follows_the_requirements(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("torch==1\nnumpy==2\n")
    first = environment.environment_key(file)
    file.write_bytes(b"# a remark\r\ntorch==1\r\n\r\nnumpy==2\r\n")
    assert environment.environment_key(file) == first
    file.write_text("torch==1\nnumpy==3\n")
    assert environment.environment_key(file) != first


def test_every_requirement_is_pinned():
    for file in environment.HERE.glob("requirements-*.txt"):
        lines = environment.requirement_lines(file)
        assert lines
        assert all("==" in line.split(";")[0] for line in lines), file.name


@pytest.mark.parametrize("broken", ["interrupted", "stamp", "python"])
def test_what_is_not_whole_is_remade(build, broken):
    if broken == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            build(interrupt)
    else:
        python = build()
        if broken == "python":
            python.unlink()
        else:
            (python.parents[1] / "test.stamp").write_text("of something else")
    left = environment.cache_root() / "venv" / "half-installed"
    left.touch()
    python = build()
    assert not left.exists() and python.exists()
    assert build(refuse) == python


def test_a_full_disk_is_refused_before_anything_is_made(build):
    with pytest.raises(Failure, match="Not enough disk space"):
        build(refuse, needed_gb=1e9)
    assert not (environment.cache_root() / "venv").exists()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pip is asked for; it refuses what holds a word of the list's first entry."""
    asked: list[list[str]] = [[]]

    def run_pip(_python: Path, arguments: list[str], stage: str) -> None:
        asked.append(arguments)
        if any(word in " ".join([*arguments, stage]) for word in asked[0]):
            raise Failure("It cannot be had.")

    monkeypatch.setattr(environment, "run_pip", run_pip)
    monkeypatch.setattr(environment, "_make_venv", empty_venv)
    monkeypatch.setattr(environment, "NEEDED_GB", 0.0)
    monkeypatch.setattr(environment, "ADDED_NEEDED_GB", 0.0)
    return asked


def test_other_torch_where_the_pins_cannot_be_had(asked):
    asked[0] = ["torch=="]
    environment.prepare()
    assert asked[2] == ["install", "torch", "torchvision"]


@pytest.mark.parametrize("word", ["requirements-watermark", "requirements-weights"])
def test_the_watermark_alone_can_be_done_without(asked, word, capsys):
    asked[0] = [word]
    if "weights" in word:
        with pytest.raises(Failure, match="cannot be had"):
            environment.prepare(evidence=True)
        return
    environment.prepare(evidence=True)
    assert "ImageNet-W's watermark could not be installed" in capsys.readouterr().out
    asked[:] = [[]]
    environment.prepare(evidence=True)
    assert len(asked) == 2, "it is tried again, and nothing else"


def test_pip_fails_quietly_with_the_end_of_its_log(tmp_path, capfd):
    missing = str(tmp_path / "missing.txt")
    with pytest.raises(Failure) as caught:
        environment.run_pip(Path(sys.executable), ["install", "-r", missing], "installing")
    assert "missing.txt" in caught.value.details
    assert capfd.readouterr().out.count("\n") == 1


def test_only_one_process_holds_a_lock(tmp_path):
    script = (
        "import sys, time\n"
        "from tools.environment import lock\n"
        "with lock('same'):\n"
        "    with open(sys.argv[1], 'a') as file:\n"
        "        file.write('in '); file.flush(); time.sleep(0.3); file.write('out ')\n"
    )
    notes = tmp_path / "notes"
    command = [sys.executable, "-c", script, str(notes)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(timeout=30) for process in processes] == [0, 0, 0]
    assert notes.read_text() == "in out " * 3


def test_a_lock_of_a_killed_process_is_free():
    script = (
        "import time\nfrom tools.environment import lock\n"
        "with lock('same'):\n    print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    with environment.lock("same"):
        pass


def test_what_a_killed_process_left_is_removed_and_nothing_of_others(own_cache):
    script = (
        "import time\nfrom tools.environment import scratch\n"
        "with scratch('run') as folder:\n"
        "    (folder / 'left').mkdir(); print('made', flush=True); time.sleep(60)\n"
    )
    command, left = [sys.executable, "-c", script], own_cache / "tmp" / "run-0" / "left"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with environment.scratch("run") as mine:
            assert mine.name == "run-1" and left.is_dir()
        process.kill()
    with environment.scratch("run") as mine:
        assert mine == left.parent and not left.exists()
    assert list((own_cache / "tmp").iterdir()) == []


def test_a_cache_folder_that_cannot_be_made_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(Failure, match="cannot be created"):
        environment.prepare()
