"""A picture of schedules: how strong a way is over the denoising, with the steps of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from ..progress import SigmaTable, StepTable
from ..schedule import Schedule
from .canvas import ACCENT, ACCENT_WASH, COOL, INK, PAPER, RULE, SOFT_INK, font

SIZE = (960, 480)
LEFT, TOP, RIGHT, BOTTOM = 92, 64, 40, 96
SAMPLES = 480
HUES = (ACCENT, COOL, (0, 128, 110))
"""Of several schedules, in their order."""


def draw_schedule(
    schedule: Schedule, table: SigmaTable, run_sigmas: Sequence[float] = ()
) -> Image.Image:
    """The schedule as an RGB picture.

    table: the model's sigma table, for the sigmas under the axis.
    run_sigmas: the sigmas of a run; each of its model calls is marked on the curve.
    """
    plot = _Plot([schedule])
    plot.window()
    plot.grid(table)
    plot.curves()
    marks = call_places(schedule, table, run_sigmas)
    plot.calls(marks)
    plot.words(f"acts on {named_steps(marks)}" if marks else "")
    return plot.canvas


def draw_schedules(schedules: Mapping[str, Schedule], table: SigmaTable) -> Image.Image:
    """Several schedules, by the names of what they drive, as one RGB picture; at least one."""
    plot = _Plot(list(schedules.values()))
    plot.grid(table)
    plot.curves()
    plot.words("")
    plot.legend(list(schedules))
    return plot.canvas


def call_places(
    schedule: Schedule, table: SigmaTable, run_sigmas: Sequence[float]
) -> list[tuple[float, float]]:
    """For each step of a run its progress and its bypass."""
    if len(run_sigmas) < 2:
        return []
    run = StepTable(tuple(run_sigmas))
    clock = run if schedule.schedule_by == "step" else table
    places = [clock.progress(sigma) for sigma in run_sigmas[:-1]]
    if clock is run and run.comes_again:
        places = [step / len(places) for step in range(len(places))]
    return [(place, schedule.lam(place)) for place in places]


def named_steps(marks: Sequence[tuple[float, float]]) -> str:
    """The steps with a bypass by their numbers, as in `steps 1 and 2 of 4` or `steps 1 to 6 of
    20`; `none of the 4 steps` where there are none."""
    active = [step for step, (_, lam) in enumerate(marks, 1) if lam != 0.0]
    if not active:
        return f"none of the {len(marks)} steps"
    spans: list[list[int]] = []
    for step in active:
        if spans and spans[-1][-1] == step - 1:
            spans[-1].append(step)
        else:
            spans.append([step])
    told: list[str] = []
    for span in spans:
        told += [f"{span[0]} to {span[-1]}"] if len(span) > 2 else [str(step) for step in span]
    every = " and ".join(filter(None, [", ".join(told[:-1]), told[-1]]))
    return f"step{'s' if len(active) > 1 else ''} {every} of {len(marks)}"


class _Plot:
    """The drawing in progress: progress runs to the right, strength upwards."""

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        self.schedule = schedules[0]
        self.canvas = Image.new("RGB", SIZE, PAPER)
        self.pen = ImageDraw.Draw(self.canvas)
        places = [index / SAMPLES for index in range(SAMPLES + 1)]
        self.lams = [[schedule.lam(place) for place in places] for schedule in schedules]
        self.low, self.high = (-1.0 if min(map(min, self.lams)) < 0 else 0.0), 1.0

    def x(self, progress: float) -> float:
        return LEFT + progress * (SIZE[0] - LEFT - RIGHT)

    def y(self, lam: float) -> float:
        return TOP + (self.high - lam) / (self.high - self.low) * (SIZE[1] - TOP - BOTTOM)

    def window(self) -> None:
        start, end = self.schedule.start_percent, self.schedule.end_percent
        box = (self.x(start), self.y(self.high), self.x(end), self.y(self.low))
        self.pen.rectangle(box, fill=ACCENT_WASH)

    def grid(self, table: SigmaTable) -> None:
        small = font(15)
        steps = 4 if self.low == 0.0 else 8
        for index in range(steps + 1):
            lam = self.low + (self.high - self.low) * index / steps
            strong = SOFT_INK if lam == 0.0 else RULE
            self.pen.line((self.x(0), self.y(lam), self.x(1), self.y(lam)), strong)
            self.pen.text((LEFT - 10, self.y(lam)), f"{lam:g}", INK, small, anchor="rm")
        by_step = self.schedule.schedule_by == "step"
        for index in range(11):
            place, base = index / 10, self.y(self.low)
            self.pen.line((self.x(place), base, self.x(place), base + 5), SOFT_INK)
            self.pen.text((self.x(place), base + 10), f"{place:g}", INK, small, anchor="ma")
            if not by_step:
                sigma = f"{table.sigma(place):.3g}"
                self.pen.text((self.x(place), base + 30), sigma, SOFT_INK, small, anchor="ma")
        if not by_step:
            self.pen.text((12, self.y(self.low) + 30), "sigma", SOFT_INK, small, anchor="la")

    def curves(self) -> None:
        # The first is the widest, so that it is seen behind the others.
        for lams, hue, more in zip(self.lams, HUES, reversed(range(len(self.lams))), strict=False):
            path = [(self.x(index / SAMPLES), self.y(lam)) for index, lam in enumerate(lams)]
            self.pen.line(path, hue, 4 + 3 * more, joint="curve")

    def calls(self, marks: Sequence[tuple[float, float]]) -> None:
        for place, lam in marks:
            x, y = self.x(place), self.y(lam)
            fill = ACCENT if lam != 0.0 else PAPER
            self.pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill, ACCENT, 2)

    def legend(self, names: Sequence[str]) -> None:
        right, letters = float(SIZE[0] - RIGHT), font(16)
        for name, hue in reversed(list(zip(names, HUES, strict=False))):
            self.pen.text((right, 24), name, INK, letters, anchor="ra")
            right -= self.pen.textlength(name, letters) + 8
            self.pen.line((right - 22, 33, right, 33), hue, 4)
            right -= 44

    def words(self, told: str) -> None:
        self.pen.text((LEFT, 18), "Strength over the denoising", INK, font(22))
        self.pen.text((SIZE[0] - RIGHT, 24), told, SOFT_INK, font(16), anchor="ra")
        where = "steps of this run" if self.schedule.schedule_by == "step" else "noise schedule"
        y, letters = SIZE[1] - 30, font(16)
        self.pen.text((self.x(0), y), "pure noise", INK, letters, anchor="la")
        middle = (self.x(0) + self.x(1)) / 2
        self.pen.text((middle, y), f"progress in the {where}", INK, letters, anchor="ma")
        self.pen.text((self.x(1), y), "finished picture", INK, letters, anchor="ra")
