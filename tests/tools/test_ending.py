"""However dev.py ends, nothing that it started is left: real commands, a stand-in for main.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tools.server import free_port

ROOT = Path(__file__).resolve().parents[2]
BUSY_MAIN = """
import subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/system_stats":
            time.sleep(60)  # what the demo asks for never comes
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
threading.Thread(target=time.sleep, args=[600]).start()  # not a daemon: only a signal ends it
port = int(sys.argv[sys.argv.index("--port") + 1])
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
TERMINAL = """
import os, sys
os.close(os.open(os.ttyname(0), os.O_RDWR))  # the session's first terminal becomes its own
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
Tree = tuple[psutil.Popen, list[psutil.Process]]


def take_signals() -> None:
    """In the new process: every signal does again what it does by itself."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def command_line(command: str, folder: Path) -> list[str]:
    port = ["--port", str(free_port())]
    extra = port if command == "serve" else ["--output", str(folder / "pictures")]
    return [str(ROOT / "dev.py"), command, *extra]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Tree]]:
    """Start a command up to a busy server with a child; the process and all below it."""
    (tmp_path / "comfy").mkdir()
    (tmp_path / "made").mkdir()
    (tmp_path / "main.py").write_text(BUSY_MAIN)
    trees: list[Tree] = []

    def start(command: str, before: tuple[str, ...] = (), **options: object) -> Tree:
        process = psutil.Popen(
            [sys.executable, *before, *command_line(command, tmp_path)],
            env={**os.environ, "COMFYUI_PATH": str(tmp_path), "TMPDIR": str(tmp_path / "made")},
            # Whoever starts the tests in the background, or by nohup, has signals ignored.
            preexec_fn=take_signals if os.name == "posix" else None,
            **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options},
        )
        trees.append((process, []))
        for _ in range(600):
            below = process.children(recursive=True)
            if any("time.sleep(600)" in word for each in below for word in arguments_of(each)):
                time.sleep(0.3)  # the answer of the server arrives
                trees[-1][1].extend(process.children(recursive=True))
                return trees[-1]
            assert process.poll() is None
            time.sleep(0.05)
        raise AssertionError("the server did not start")

    yield start
    for process, below in trees:
        for each in (process, *below):
            if each.is_running():
                each.kill()


def arguments_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def assert_all_end(tree: Tree) -> None:
    process, below = tree
    assert len(below) >= 3, "a guard, the server, its child"
    _, alive = psutil.wait_procs([process, *below], timeout=12)
    assert not alive, [arguments_of(each) for each in alive]


CASES: list[Any] = [("serve", "SIGTERM")]  # on Windows it kills
if sys.platform != "win32":
    CASES += [("demo", "SIGKILL")]
    CASES += [pytest.param("serve", name, marks=pytest.mark.long) for name in ("SIGINT", "SIGHUP")]


@pytest.mark.parametrize(("command", "name"), CASES)
def test_a_signal_to_dev_py(start, command, name, tmp_path):
    tree = start(command)
    used = list((tmp_path / "made").glob("detour-comfyui-*"))
    assert len(used) == (command == "demo"), "where its server works"
    tree[0].send_signal(getattr(signal, name))
    assert_all_end(tree)
    assert sys.platform == "win32" or list((tmp_path / "made").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_the_terminal_is_closed(start):
    ours, theirs = os.openpty()
    tree = start(
        "serve",
        ("-c", TERMINAL),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.close(ours)
    assert_all_end(tree)


def test_the_server_dies(start):
    tree = start("serve")
    (server,) = [each for each in tree[1] if arguments_of(each)[1:2] == [server_file(each)]]
    server.kill()
    assert_all_end(tree)


def server_file(process: psutil.Process) -> str:
    names = [word for word in arguments_of(process) if word.endswith("main.py")]
    return names[0] if names else ""


def test_who_runs_the_module_is_killed(start, tmp_path):
    tree = start("demo")
    runs = [each for each in tree[1] if arguments_of(each)[1:3] == ["-m", "demo.run"]]
    runs[0].kill()
    assert_all_end(tree)
    assert sys.platform == "win32" or list((tmp_path / "made").iterdir()) == []
