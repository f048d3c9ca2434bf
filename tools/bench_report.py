"""What `dev.py bench` shows to people."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from typing import Any

from .bench_shapes import LATENT, NAMES
from .bench_stats import Clock, Interval
from .failure import say

TICK_SECONDS = 30.0
LEGEND = """
ratio: time of a model call / time of the same call of the unpatched model; median of pairs
  lam0       the bypass is in place, the call lies outside of its window
  strength0  strength 0 puts nothing in place: how far this is from 1 is the measuring error
  lam0.5     half bypassed: the mid-block runs and is blended with its input
  lam1       fully bypassed: the mid-block does not run
  freeu_v2   ComfyUI's own FreeU_V2; pag: its own PerturbedAttentionGuidance (a second pass)
"""


class Progress:
    """One line that is written over on a terminal; elsewhere a new one now and then."""

    def __init__(self, shape: str, seconds: float, clock: Clock) -> None:
        self.shape, self.seconds, self.clock = shape, seconds, clock
        self.begin = self.last = clock()
        self.live = sys.stdout.isatty()

    def show(self, known: Mapping[str, Interval]) -> None:
        """Say how far the pairs are; also collects garbage, as this is nobody's time."""
        gc.collect()
        now = self.clock()
        if now - self.last < (1.0 if self.live else TICK_SECONDS):
            return
        self.last = now
        states = [
            f"{name} {'done' if found.conclusive else found.n}" for name, found in known.items()
        ]
        spent = f"{self.shape} {now - self.begin:.0f} of at most {self.seconds:.0f} s"
        line = f"  {spent}; pairs: {', '.join(states)}"
        if self.live:
            print(f"\r{line:<110}", end="", flush=True)
        else:
            say(line)

    def end(self) -> None:
        """Clear the line."""
        if self.live:
            print(f"\r{'':<110}\r", end="", flush=True)


def print_shape(shape: str, result: Mapping[str, Any]) -> None:
    """The table of one shape, for people."""
    facts = result["facts"]
    say(
        f"\n{shape}: {NAMES[shape]}'s block structure with {facts['channels']} model channels "
        f"instead of 320, {facts['parameters'] / 1e6:.1f} million random weights"
    )
    work = f"{facts['gflops']:.1f} GFLOP a call, {facts['mid_share']:.1%} of them in the mid-block"
    say(f"  latent {LATENT}x{LATENT}, 1 row: {work}")
    say(
        f"  unpatched: {facts['call_ms']:.0f} ms a call, {facts['plain_peak_mib']:.1f} MiB of "
        f"activations at most; calls a timing: {facts['calls_per_timing']}"
    )
    say("  case        ratio   95 % interval    pairs  extra memory  target")
    for row in result["rows"]:
        say("  " + row_text(row))


def row_text(row: Mapping[str, Any]) -> str:
    """One line of the table."""
    interval = "too few pairs"
    if row["low"] is not None:
        interval = f"{row['low']:.4f}-{row['high']:.4f}"
    notes = [f"{item['text']}: {met(item['met'])}" for item in row["targets"]]
    if not row["conclusive"]:
        notes.insert(0, "inconclusive")
    start = f"{row['case']:<10} {row['median']:.4f}  {interval:<14} {row['n']:>6}"
    return f"{start}  {row['extra_peak_mib']:+8.2f} MiB  {'; '.join(notes)}".rstrip()


def met(good: bool | None) -> str:
    """The word for a target that was or was not reached, or of which neither can be said."""
    return {True: "met", False: "MISSED", None: "undecided"}[good]
