"""Run pip with its flood of lines in a log file, and say in one sentence what went wrong."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .cache import cache_root, make_folder
from .failure import Failure, say, tail
from .process import end_process, start_process

HEARTBEAT_SECONDS = 30.0
STOP_SECONDS = 10.0
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


def clean_environment() -> dict[str, str]:
    """This process's environment without what would make another Python look elsewhere."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}


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
            command, STOP_SECONDS, stdout=output, stderr=subprocess.STDOUT, env=environment
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
        end_process(process, STOP_SECONDS)


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
