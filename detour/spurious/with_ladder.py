"""`neutralize` with the ladder beside every method, and degrees relative to what was found."""

from __future__ import annotations

from dataclasses import replace

from .edit import EditStack
from .ladder import build_ladder
from .neutralize import Neutralized, neutralize, with_edits
from .probes import Probes
from .search import Progress


def neutralize_with_ladder(
    probes: Probes,
    stack: EditStack,
    method: str = "worst_group",
    edit: str = "auto",
    target: int | None = None,
    max_weights: int = 3,
    degree: float = 1.0,
    present: int = 1,
    seed: int = 0,
    auto_degree: bool = True,
    progress: Progress | None = None,
) -> Neutralized:
    """`neutralize`, and for the closed forms the ladder of the search beside it.

    degree: 0 none, 1 as found. auto_degree: `evidence` takes the degree that is best on the
    validation part for "as found", and `degree` multiplies it. Probes without classes have no
    ladder; where the search cannot be done, a note says why. Errors as `neutralize`.
    """
    if method == "worst_group":
        return neutralize(
            probes, stack, method, edit, target, max_weights, degree, present, seed, progress
        )

    def closed(degree: float | None) -> Neutralized:
        return neutralize(
            probes, stack, method, edit, target, degree=degree, present=present, seed=seed
        )

    found = method == "evidence" and auto_degree
    done = closed(None if found else degree)
    if found and degree != 1:
        best = done.edit.degree
        note = f"{done.notes[-1]} Here it is {degree:g} times that."
        done = replace(closed(best * degree), unit=done.unit)
        done = replace(done, notes=(*done.notes, note))
    if probes.classes is None:
        return done
    return _beside(probes, stack, done, target, max_weights, seed, progress)


def _beside(
    probes: Probes,
    stack: EditStack,
    done: Neutralized,
    target: int | None,
    max_weights: int,
    seed: int,
    progress: Progress | None,
) -> Neutralized:
    now = with_edits(probes, stack)
    try:
        ladder = build_ladder(now, target, "auto", max_weights, seed, progress=progress)
    except ValueError as reason:  # the closed forms need less than the search does
        return replace(done, notes=(*done.notes, f"No ladder beside this edit. {reason}"))
    return replace(done, ladder=ladder)
