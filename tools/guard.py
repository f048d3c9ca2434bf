"""Runs a command and ends it, with all that it started, as soon as standard input ends.

`python -I guard.py SECONDS FOLDER COMMAND ...`; the exit status is the command's. Whoever starts
the guard holds the other end of its standard input and never writes to it. The operating system
closes that end when its holder ends, in whatever way, so nobody has to be there to say so.
The command is asked to end first (not on Windows, which has no way to ask), and killed after
so many seconds. FOLDER (or an empty text) is what its starter would remove, had it not been
killed: the guard does it then (not on Windows, which does not tell).
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

NOT_STARTED = 127


def main(arguments: list[str]) -> int:
    """Run the command to its end or to ours."""
    seconds, folder, command = float(arguments[0]), arguments[1], arguments[2:]
    starter = os.getppid()
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: events.put("signal"))
    try:
        # A session of its own: what the command starts can be ended as one group.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=sys.platform != "win32"
        )
    except OSError as error:
        print(f"{command[0]} could not be started ({error}).", file=sys.stderr, flush=True)
        return NOT_STARTED
    for wait_for in (lambda: os.read(0, 1), process.wait):
        threading.Thread(target=_tell_when, args=(wait_for, events), daemon=True).start()
    events.get()
    if process.poll() is None:
        end_tree(process, ask=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass  # it is killed below
    end_tree(process, ask=False)
    code = process.wait()
    if folder and os.getppid() != starter:
        shutil.rmtree(folder, ignore_errors=True)  # links are removed, not followed
    return 128 - code if code < 0 else code


def _tell_when(wait_for: Callable[[], object], events: queue.SimpleQueue[str]) -> None:
    wait_for()
    events.put("end")


def end_tree(process: subprocess.Popen[bytes], ask: bool) -> None:
    """Ask the command and all that it started to end, or make them end."""
    if sys.platform == "win32":
        if process.poll() is None:
            kill = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
            subprocess.run(kill, stdin=subprocess.DEVNULL, capture_output=True)
        return
    try:
        os.killpg(process.pid, signal.SIGTERM if ask else signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS: a group of dead ones is not permitted
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
