"""Which of a transformer's blocks matter, in words, numbers and a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from ..ways.scan import BlockScan
from ..ways.targets import typed_blocks
from .bars import Colour, heading
from .canvas import ACCENT, ACCENT_WASH, COOL, INK, PAPER, RULE, SOFT_INK, font

SIZE = (960, 480)
LEFT, TOP, RIGHT, BOTTOM = 92, 112, 28, 96
EARLY, LATE = ACCENT, COOL
TOPS = (0.05, 0.1, 0.2, 0.4, 0.6, 1.0)
"""Where the axis can end: above all blocks but the first and the last, which often matter so much
that nothing would be seen of the others. What is beyond is drawn up to there, with a tip."""
MOST_LABELS = 20
NAMED = 3
"""So many blocks are named as those that matter most."""


def scan_text(scan: BlockScan, cfg: float) -> str:
    """The whole report. cfg: of the runs."""
    lists = ", then ".join(f"{length} {name}" for name, length in scan.lists)
    guess = typed_blocks(scan.guess)
    first, last = scan.guess
    inside = max(scan.early[first : last + 1])
    order = sorted(range(scan.count), key=lambda block: -scan.early[block])
    most = ", ".join(f"{block} ({percent(scan.early[block])})" for block in order[:NAMED])
    return "\n".join(
        (
            f"{scan.kind}: {scan.count} blocks ({lists}), counted from 0.",
            f"{counted(scan)}, CFG {cfg:g}; each block left out alone, along the run of the whole "
            "model.",
            "",
            f"Change of the prediction, early: {spread(scan.early)}; late: {spread(scan.late)}.",
            f"Most important early: {most}.",
            "",
            f"A guess for the dial: blocks = {guess}",
            f"Of all ranges of this length that touch no end, the one whose most important block "
            f"matters least early ({percent(inside)}).",
            "It is a guess: what these blocks do together, and whether a bypass of them gives more "
            "variety or only a tint, was not measured. See it with Variety Sweep.",
        )
    )


def scan_numbers(scan: BlockScan) -> dict[str, Any]:
    """All that was measured, for machines; None where the prediction was no number."""
    return {
        "model": scan.kind,
        "lists": [list(one) for one in scan.lists],
        "blocks": typed_blocks(scan.guess),
        "early": _finite(scan.early),
        "late": _finite(scan.late),
        "changes": [[_finite(step) for step in seed] for seed in scan.changes],
    }


def counted(scan: BlockScan) -> str:
    """Seeds and steps in words."""
    seeds = len(scan.changes)
    return f"{seeds} seed{'s' if seeds != 1 else ''} of {scan.steps} steps"


def percent(share: float) -> str:
    """A change in words."""
    if not math.isfinite(share):
        return "no number"
    return f"{100 * share:.{0 if share >= 0.1 else 1}f} %"


def spread(changes: Sequence[float]) -> str:
    """From the least to the greatest."""
    return f"{percent(min(changes))} to {percent(max(changes))}"


def _finite(changes: Sequence[float]) -> list[float | None]:
    return [change if math.isfinite(change) else None for change in changes]


def draw_scan(scan: BlockScan) -> Image.Image:
    """Two bars for each block, early and late, with the guess behind them; an RGB picture."""
    plot = _Plot(scan)
    plot.guess()
    plot.grid()
    plot.lists()
    for block in range(scan.count):
        plot.bar(block, 0, scan.early[block], EARLY)
        plot.bar(block, 1, scan.late[block], LATE)
    plot.words()
    return plot.canvas


class _Plot:
    """The drawing in progress: the blocks run to the right, their changes upwards."""

    def __init__(self, scan: BlockScan) -> None:
        self.scan = scan
        self.canvas = Image.new("RGB", SIZE, PAPER)
        self.pen = ImageDraw.Draw(self.canvas)
        self.base = SIZE[1] - BOTTOM
        most = max(*scan.early[1:-1], *scan.late[1:-1])
        self.top = next((top for top in TOPS if most <= top), TOPS[-1])

    def x(self, block: float) -> float:
        """The left edge of a block's place."""
        return LEFT + block / self.scan.count * (SIZE[0] - LEFT - RIGHT)

    def y(self, change: float) -> float:
        return self.base - min(change / self.top, 1.0) * (self.base - TOP)

    def guess(self) -> None:
        first, last = self.scan.guess
        box = (self.x(first), TOP, self.x(last + 1) - 1, self.base)
        self.pen.rectangle(box, fill=ACCENT_WASH)
        middle, told = (self.x(first) + self.x(last + 1)) / 2, typed_blocks(self.scan.guess)
        self.pen.text((middle, TOP - 6), f"guess: {told}", ACCENT, font(16), anchor="mb")

    def grid(self) -> None:
        small = font(15)
        for index in range(5):
            change = self.top * index / 4
            y = self.y(change)
            self.pen.line((LEFT, y, SIZE[0] - RIGHT, y), SOFT_INK if index == 0 else RULE)
            self.pen.text((LEFT - 10, y), f"{100 * change:g} %", INK, small, anchor="rm")
        each = math.ceil(self.scan.count / MOST_LABELS)
        for block in range(0, self.scan.count, each):
            x = self.x(block + 0.5)
            self.pen.text((x, self.base + 8), str(block), INK, small, anchor="ma")

    def lists(self) -> None:
        """The names of the lists below their blocks, with a line where one goes into the next."""
        begin = 0
        for name, length in self.scan.lists:
            middle, y = self.x(begin + length / 2), self.base + 32
            if length:
                self.pen.text((middle, y), name, SOFT_INK, font(15), anchor="ma")
            if begin and length:
                for top, bottom in ((TOP, self.base), (y, y + 16)):
                    self.pen.line((self.x(begin), top, self.x(begin), bottom), SOFT_INK)
            begin += length

    def bar(self, block: int, place: int, change: float, colour: Colour) -> None:
        wide = self.x(1) - self.x(0)
        left = self.x(block) + wide * (0.1 + 0.4 * place)
        right, y = left + 0.4 * wide, self.y(change)
        self.pen.rectangle((left, min(y, self.base - 1), max(left, right - 1), self.base), colour)
        if change > self.top:
            middle = (left + right) / 2
            tip = [(left, TOP), (right, TOP), (middle, TOP - 5)]
            self.pen.polygon(tip, colour)

    def words(self) -> None:
        title = f"{self.scan.kind}: how much the prediction changes without one block"
        heading(self.pen, title, (("early", EARLY), ("late", LATE)))
        middle = (LEFT + SIZE[0] - RIGHT) / 2
        told = f"block (mean of {counted(self.scan)})"
        if max(*self.scan.early, *self.scan.late) > self.top:
            told += "; bars with a tip go on beyond the axis"
        self.pen.text((middle, SIZE[1] - 30), told, INK, font(16), anchor="ma")
