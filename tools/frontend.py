"""What the browser tests need beside the host: a Chromium, and the newest frontend."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .cache import cache_root, check_space, lock, make_folder
from .environment import HERE, requirement_lines
from .failure import Failure, say, tail
from .host import DOWNLOAD
from .pip import run_pip

REQUIREMENT = HERE / "requirements-frontend.txt"
INSIDE_WHEEL = Path("comfyui_frontend_package") / "static"
NEEDED_GB = 0.3
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
    return requirement_lines(REQUIREMENT)[0].split("==")[1].split()[0]


def newest_frontend() -> Path:
    """Where the newest frontend lies, fetched or not; for the host's --front-end-root."""
    key = hashlib.sha256("\n".join(requirement_lines(REQUIREMENT)).encode()).hexdigest()[:12]
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
                _fetch(python, newest_frontend())
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


def _fetch(python: Path, folder: Path) -> None:
    """Download the wheel, unpack its static files beside the final place, then rename."""
    check_space(cache_root(), NEEDED_GB, "the newest frontend")
    work = Path(tempfile.mkdtemp(prefix="frontend-", dir=make_folder(cache_root() / "tmp")))
    try:
        run_pip(
            python,
            [*DOWNLOAD, "-r", str(REQUIREMENT), "-d", str(work)],
            f"fetching the frontend {newest_version()}",
            make_folder(cache_root() / "logs") / "pip-frontend.log",
        )
        for wheel in work.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(work)
        if not (work / INSIDE_WHEEL / "index.html").is_file():
            raise Failure("The wheel of the frontend holds no page.")
        os.replace(work / INSIDE_WHEEL, folder)
    except (zipfile.BadZipFile, OSError) as error:
        raise Failure(f"The frontend could not be unpacked ({error}).") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
