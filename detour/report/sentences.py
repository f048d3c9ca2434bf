"""How reports say numbers: percent, groups, edits."""

from __future__ import annotations

from ..edit.apply import effective_cells
from ..edit.record import EditStack
from ..judge.groups import Gain, GroupMetrics
from ..probes.probe_set import FEW

RUNG_NAMES = {
    "unedited": "unedited",
    "bias_only": "bias only",
    "one_weight": "one weight",
    "one_weight_bias": "one weight + bias",
    "k_weights_bias": "up to k weights + bias",
}
HEADS = {"before": "before", "after": "after", "bias_only": "bias only, instead"}
"""The heads that `paired` compares."""


PROBES, PHOTOS = ("probe", "probes"), ("photo or seed", "photos or seeds")


def _of(count: int, names: tuple[str, str]) -> str:
    return f"{count} {names[count != 1]}"


def percent(share: float) -> str:
    """A share as percent with one decimal."""
    return f"{100 * share:.1f} %"


def interval(low: float | None, high: float | None) -> str:
    """An interval of shares in percent, empty where there is none."""
    return "" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"


def numbers_edited(count: int) -> str:
    """How many numbers an edit changes, in words."""
    return "1 number" if count == 1 else f"{count} numbers"


def edit_lines(stack: EditStack) -> list[str]:
    """The last edit of a stack in words: class, method, degree, each number from and to.

    From: with the edits below it; to: with it, at its degree. The classes are named at each number
    where the edit reaches into several.
    """
    edit = stack.edits[-1]
    before, after = effective_cells(stack.undo()), effective_cells(stack)
    where = f"class {edit.class_index}" + (f" '{edit.class_name}'" if edit.class_name else "")
    rows = list(dict.fromkeys(cell.row for cell in edit.cells))
    if len(rows) > 1:
        where = "classes " + ", ".join(map(str, rows))
    head = f"{where}, by {edit.method}, degree {edit.degree:g}"
    if not edit.cells:
        return [f"No number was edited ({head})."]
    lines = [f"{numbers_edited(len(edit.cells))} of the last layer edited: {head}."]
    if edit.degree == 0:
        lines = [f"Nothing is changed by an edit at degree 0 ({head})."]
    for cell in edit.cells:
        place = (cell.row, cell.column)
        what = "bias" if cell.column is None else f"weight of feature {cell.column}"
        what += f" of class {cell.row}" if len(rows) > 1 else ""
        now = before.get(place, cell.old)
        lines.append(f"  {what}: {now:.6g} -> {after.get(place, cell.old):.6g}")
    return lines


def group_lines(before: GroupMetrics | None, after: GroupMetrics) -> list[str]:
    """The figures of all groups that have probes as text lines, before and after."""
    lines = []
    width = max((len(name) for name in _present(after)), default=0)
    for g, name in enumerate(after.names):
        now = after.accuracy[g]
        if now is None:
            continue
        was = None if before is None else before.accuracy[g]
        first = "" if was is None else f"{percent(was)} -> "
        mark = "  <- worst group" if g == after.worst_group else ""
        span = interval(after.low[g], after.high[g])
        lines.append(f"  {name:{width}}  {first}{percent(now)} {span}, n {after.counts[g]}{mark}")
    return [*lines, *summary_lines(before, after)]


def claim(gain: Gain, after: GroupMetrics) -> str:
    """What may be said of the worst group before and after, in one sentence."""
    told = f"{100 * abs(gain.difference):.1f} points"
    span = f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f} points)"
    if gain.verdict in ("improved", "worse"):
        what = "better" if gain.verdict == "improved" else "worse"
        return f"The worst group is {told} {what} {span}."
    if gain.verdict == "unclear" and gain.low == gain.high == 0:
        return "No improvement is shown: the worst group is as right as it was."
    if gain.verdict == "unclear":
        return f"No improvement is shown: the change {span} may be chance. Add pictures."
    if gain.verdict == "unmeasured":
        return f"No improvement is claimed: of {after.unmeasured_names} nothing was measured."
    if gain.verdict == "few":
        few, g = min((n, g) for g, n in enumerate(after.units) if n)
        return (
            f"No improvement is claimed: the group ({after.names[g]}) has {_of(few, PHOTOS)} to "
            "report on, and so few tell nothing."
        )
    return (
        "No improvement is claimed: probes that had a say in the classifier or its edit judge it."
    )


def summary_lines(before: GroupMetrics | None, after: GroupMetrics) -> list[str]:
    """Worst-group, mean and adjusted average accuracy."""
    names = [("Worst-group accuracy", "worst"), ("Mean accuracy of the groups", "mean")]
    if after.adjusted is not None:
        names.append(("Adjusted average accuracy", "adjusted"))
    lines = []
    for title, name in names:
        was = None if before is None else getattr(before, name)
        first = "" if was is None else f"{percent(was)} -> "
        where = ""
        if name == "worst":
            old = "" if before is None else f"{before.names[before.worst_group]} -> "
            where = f"{after.of_groups} ({old}{after.names[after.worst_group]})"
        lines.append(f"{title}: {first}{percent(getattr(after, name))}{where}")
    return lines


LEARNED = (
    "The classifier itself was fitted on some of these very probes, so the numbers flatter it, "
    "before and after any edit. Take other pictures, or more of each group: with some 160, and the "
    "split seed 0, the quarter that it was not fitted on is reported on."
)


def small_groups(metrics: GroupMetrics) -> list[str]:
    """What the figures cannot tell: a sentence about groups that are not measured, one about
    several pictures of one photo or seed, and one about the smallest group if it has fewer than
    `FEW` of those."""
    told = []
    if metrics.unmeasured:
        told.append(
            f"Of {metrics.unmeasured_names} there are probes, but none among those measured on: "
            "worst-group and mean accuracy say nothing of them. Add pictures, or change the split."
        )
    several = metrics.units != metrics.counts
    if several:
        told.append(
            "Several probes are of one photo or seed, and those err together: the intervals go by "
            "the number of photos or seeds, not of pictures."
        )
    n, g = min((n, g) for g, n in enumerate(metrics.units) if n)
    low, high = metrics.low[g], metrics.high[g]
    if n < FEW and low is not None and high is not None:
        what = _of(n, PHOTOS if several else PROBES)
        told.append(
            f"The group ({metrics.names[g]}) has {what} to report on: its accuracy is known "
            f"within {100 * (high - low):.0f} points only. Add pictures for finer statements."
        )
    return told


def _present(metrics: GroupMetrics) -> list[str]:
    return [name for name, n in zip(metrics.names, metrics.counts, strict=True) if n]
