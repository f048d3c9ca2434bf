"""The cached environment: named by its content, finished or remade, one builder at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import environment
from tools.failure import Failure

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fake_build(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Installs nothing: a venv is an empty file named like its Python; stages are noted."""
    stages: list[str] = []

    def make_venv(folder: Path) -> None:
        python = environment.environment_python(folder)
        python.parent.mkdir(parents=True)
        python.touch()

    def run_pip(python: Path, arguments: list[str], stage: str, log: Path) -> None:
        stages.append(stage)

    monkeypatch.setattr(environment, "make_venv", make_venv)
    monkeypatch.setattr(environment, "run_pip", run_pip)
    monkeypatch.setattr(environment, "NEEDED_GB", 0.0)
    monkeypatch.setattr(environment, "ADDED_NEEDED_GB", 0.0)
    return stages


def test_the_key_follows_the_requirements(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("torch==1\nnumpy==2\n")
    first = environment.environment_key(file)
    file.write_bytes(b"# a remark\r\ntorch==1\r\n\r\nnumpy==2\r\n")
    assert environment.environment_key(file) == first
    file.write_text("torch==1\nnumpy==3\n")
    assert environment.environment_key(file) != first


def test_every_requirement_is_pinned() -> None:
    files = (
        environment.HOST_REQUIREMENTS,
        environment.DEV_REQUIREMENTS,
        environment.WEIGHTS_REQUIREMENTS,
        environment.EVIDENCE_REQUIREMENTS,
        environment.WATERMARK_REQUIREMENTS,
    )
    lines = environment.requirement_lines(*files)
    assert len(lines) > 20
    assert all("==" in line.split(";")[0] for line in lines)


def test_a_finished_environment_is_not_built_again(fake_build: list[str]) -> None:
    python = environment.prepare()
    assert len(fake_build) == 2
    assert environment.prepare() == python
    assert len(fake_build) == 2
    environment.prepare(dev=True)
    environment.prepare(dev=True)
    assert len(fake_build) == 5
    environment.prepare(evidence=True)
    environment.prepare(dev=True, evidence=True)
    assert len(fake_build) == 7


def test_the_packages_of_the_evidence_come_with_the_evidence_only(fake_build: list[str]) -> None:
    environment.prepare(dev=True)
    assert not any("compares" in stage for stage in fake_build)
    environment.prepare(evidence=True)
    assert [stage for stage in fake_build if "compares" in stage] == fake_build[-2:]
    folder = environment.environment_folder()
    (folder / environment.EVIDENCE.stamp).write_text("another key")
    environment.prepare(evidence=True)
    assert len(fake_build) == 9


def test_the_watermark_can_be_done_without(
    fake_build: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = environment.run_pip

    def refused(python: Path, arguments: list[str], stage: str, log: Path) -> None:
        if "watermark" in stage:
            raise Failure("No such package.")
        whole(python, arguments, stage, log)

    monkeypatch.setattr(environment, "run_pip", refused)
    python = environment.prepare(evidence=True)
    assert python.exists()
    assert "ImageNet-W's watermark could not be installed" in capsys.readouterr().out
    monkeypatch.setattr(environment, "run_pip", whole)
    before = len(fake_build)
    environment.prepare(evidence=True)
    assert len(fake_build) == before + 1
    environment.prepare(evidence=True)
    assert len(fake_build) == before + 1


@pytest.mark.parametrize("broken_stage", ["torch", "ComfyUI", "tests"])
def test_an_interrupted_build_is_remade(
    fake_build: list[str], monkeypatch: pytest.MonkeyPatch, broken_stage: str
) -> None:
    whole = environment.run_pip

    def interrupted(python: Path, arguments: list[str], stage: str, log: Path) -> None:
        if broken_stage in stage:
            raise KeyboardInterrupt
        whole(python, arguments, stage, log)

    monkeypatch.setattr(environment, "run_pip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment.prepare(dev=True)
    folder = environment.environment_folder()
    key = environment.environment_key(environment.HOST_REQUIREMENTS)
    host_done = environment.is_finished(folder, environment.HOST_STAMP, key)
    assert host_done == (broken_stage == "tests")
    left = folder / "half-installed"
    left.touch()
    monkeypatch.setattr(environment, "run_pip", whole)
    environment.prepare(dev=True)
    assert left.exists() == host_done
    assert environment.is_finished(folder, environment.HOST_STAMP, key)


@pytest.mark.parametrize("content", ["", "abc", "another key"])
def test_a_stamp_of_something_else_does_not_count(fake_build: list[str], content: str) -> None:
    environment.prepare()
    (environment.environment_folder() / environment.HOST_STAMP).write_text(content)
    environment.prepare()
    assert len(fake_build) == 4


def test_an_environment_whose_python_is_gone_is_remade(fake_build: list[str]) -> None:
    environment.prepare().unlink()
    assert environment.prepare().exists()


def test_other_torch_where_the_pins_cannot_be_had(
    fake_build: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def run_pip(python: Path, arguments: list[str], stage: str, log: Path) -> None:
        asked.append(arguments)
        if any(argument.startswith("torch==") for argument in arguments):
            raise environment.PackageMissing("no such torch")

    monkeypatch.setattr(environment, "run_pip", run_pip)
    environment.prepare()
    assert asked[1] == ["install", "torch", "torchvision"]
    assert "cannot be had on this platform" in capsys.readouterr().out


def test_a_full_disk_is_refused_before_anything_is_made(
    own_cache: Path, fake_build: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "NEEDED_GB", 1e9)
    with pytest.raises(Failure, match="Not enough disk space"):
        environment.prepare()
    assert not fake_build
    assert not environment.environment_folder().exists()


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk became full"),
        (
            "WARNING: Retrying after NewConnectionError('x')\n"
            "ERROR: No matching distribution found for torch==2.14.1",
            "could not be reached",
        ),
        ("ERROR: No matching distribution found for torch==2.14.1", "torch==2.14.1 cannot be had"),
        ("ERROR: ResolutionImpossible: see the docs", "do not fit together"),
        ("something else", "pip failed"),
    ],
)
def test_pip_errors_are_one_sentence(tmp_path: Path, log: str, sentence: str) -> None:
    file = tmp_path / "pip.log"
    file.write_text(log)
    failure = environment.explain("installing", file)
    assert sentence in str(failure)
    assert "\n" not in str(failure)
    assert failure.details == log.splitlines()[-1]


def test_pip_runs_quietly_and_fails_with_its_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "pip.log"
    environment.run_pip(Path(sys.executable), ["install", "--no-index", "pip"], "asking", log)
    assert "asking: done in" in capfd.readouterr().out
    missing = str(tmp_path / "missing.txt")
    with pytest.raises(Failure) as caught:
        environment.run_pip(Path(sys.executable), ["install", "-r", missing], "installing", log)
    assert "missing.txt" in caught.value.details
    assert capfd.readouterr().out.count("\n") == 1


def test_only_one_process_holds_a_lock(tmp_path: Path) -> None:
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


def test_a_lock_of_a_killed_process_is_free() -> None:
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


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    environment.write_whole(tmp_path / "stamp", "text")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["stamp"]


def test_a_cache_folder_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(Failure, match="cannot be created"):
        environment.prepare()
