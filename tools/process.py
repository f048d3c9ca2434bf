"""Starting and ending processes so that none of them outlives us, however we end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

GUARD = Path(__file__).resolve().parent / "guard.py"
MARGIN_SECONDS = 5.0


def start_process(
    command: Sequence[str], seconds: float, folder: Path | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a command behind a guard, which ends it and all that it started when we end.

    seconds: how long it may take to end once it is asked to. folder: what is to be removed then,
    where we were killed and cannot do it. `options` go to `Popen`. The
    guard's exit status is the command's. On Linux and macOS the command lies outside the
    terminal's group: Ctrl-C reaches only us, and `end_process` ends it in good order.
    """
    guarded = [sys.executable, "-I", str(GUARD), f"{seconds:g}", str(folder or ""), *command]
    apart = sys.platform != "win32"
    return subprocess.Popen(guarded, stdin=subprocess.PIPE, start_new_session=apart, **options)


def end_process(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End what `start_process` started, `seconds` being the same; nothing if it has ended."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=seconds + MARGIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stop_like_ctrl_c() -> None:
    """Treat being asked to end, or the terminal's being closed, like Ctrl-C, so that whatever
    ends our servers and children comes to its turn; what the caller ignores stays ignored."""
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def clean_environment() -> dict[str, str]:
    """This process's environment without what would make another Python look elsewhere."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}
