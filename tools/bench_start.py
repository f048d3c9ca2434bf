"""How long ComfyUI takes to start, and how much of it is the pack."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .failure import Failure
from .pip import clean_environment
from .server import ComfyServer

ROOT = Path(__file__).resolve().parent.parent
MARK = "DETOUR_IMPORT_MS"
TIMEOUT = 300
PROBE = f"""
import asyncio, sys, time
host, pack = sys.argv[1:3]
del sys.argv[1:]
sys.path.insert(0, host)
from comfy.cli_args import args
args.cpu = True
import utils.extra_config
import execution, server, nodes
asyncio.run(nodes.init_builtin_extra_nodes())
begin = time.perf_counter()
good = asyncio.run(nodes.load_custom_node(pack))
taken = time.perf_counter() - begin
print("{MARK}", taken * 1000 if good else "failed")
"""
"""Loads what ComfyUI's main.py loads before custom nodes, then the pack as main.py does."""


def import_ms(host: Path, times: int, warm_up: bool = True) -> float:
    """Milliseconds that ComfyUI's own loader takes for the pack, each in a new interpreter.

    The median of `times`. warm_up: one more before them, which is not counted: the first one
    after an update also compiles the pack's files.
    """
    if warm_up:
        _import_once(host)
    return statistics.median([_import_once(host) for _ in range(times)])


def _import_once(host: Path) -> float:
    command = [sys.executable, "-c", PROBE, str(host), str(ROOT)]
    with tempfile.TemporaryDirectory(prefix="detour-bench-") as folder:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=clean_environment(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise Failure(f"ComfyUI did not load the pack within {TIMEOUT} s.") from error
    for line in done.stdout.splitlines():
        mark, _, value = line.partition(" ")
        if mark == MARK and value != "failed":
            return float(value)
    raise Failure("ComfyUI could not load the pack.", "\n".join(done.stderr.splitlines()[-15:]))


def start_seconds(host: Path, times: int) -> float:
    """Seconds from the launch of ComfyUI with the pack until it answers; the median."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        with ComfyServer(host, {"detour": ROOT}):
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)
