"""An edit file in words: what each edit does, on what that was shown, and what it does on other
pictures."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from ..checks import shortened
from ..edit.record import Edit, EditStack
from ..judge.compare import Comparison
from ..judge.groups import GroupMetrics, claimable
from ..search.neutralize import Neutralized
from ..search.remove_class import Removal
from ..search.settings import SEARCHED
from .groups import draw_group_bars, group_text
from .mending import mending_lines
from .sentences import claim, numbers_edited, percent

MOST_EDITS = 20
"""Edits of a file that are told."""
LONGEST = 600
"""Letters of a text from a file: whoever made it may have written what he liked."""
OTHER_PRECISION = (
    "They were made on this model in another precision: at degree 1 the edited numbers are those "
    "of the file, all others this model's own."
)
NO_EDITS = "There are no edits in it: nothing was changed."
UNCHECKED = "Labelled pictures (probes) show what they do on yours."


def described(done: Neutralized, feature: str) -> Neutralized:
    """The same result, whose edit says what it does and on what it was proved, for its file."""
    edit, after = done.edit, done.after
    what = f"Takes '{feature}' out of the decision for {_class(edit)}"
    if edit.method == "mistakes":
        what = f"Mends pictures that were labelled wrong, in the decision for {_class(edit)}"
    meaning = _meaning(what, edit)
    if done.mended is not None:
        proof = f"At degree {edit.degree:g}. {mending_lines(done)[0]}"
    elif after is not None:
        proof = _groups(edit.degree, done.before, after, _judges(done))
        gain = claimable(done.gain, done.learned)
        proof += "" if gain is None else f" {claim(gain, after)}"
    elif done.gap is not None:
        proof = (
            f"At degree {edit.degree:g}, on the same pictures with and without '{feature}': it "
            f"adds {done.gap[0]:+.2f} to the score before and {done.gap[1]:+.2f} after. How "
            "pictures of the class are recognised was not measured."
        )
    else:
        proof = ""
    return replace(done, stack=_with_words(done.stack, meaning, proof))


def described_removal(done: Removal) -> Removal:
    """The same removal, whose edit says what it does and on what it was proved, for its file."""
    edit, count = done.edit, done.sizes[2]
    meaning = _meaning(f"Takes {_class(edit)} out of what is predicted", edit)
    proof = (
        f"At degree {edit.degree:g}, on {count} pictures that did not choose it: predicted on "
        f"{percent(done.unseen_before / count)} before and {percent(done.unseen_after / count)} "
        "after."
    )
    return replace(done, stack=_with_words(done.stack, meaning, proof))


def described_again(stack: EditStack, done: Comparison) -> EditStack:
    """The stack, whose last edit was measured anew at another degree."""
    edit = stack.edits[-1]
    judges = "that did not choose it" if done.unseen else "that may have chosen it"
    proof = _groups(edit.degree, done.before, done.after, judges)
    gain = claimable(done.gain, done.learned or not done.unseen)
    proof += "" if gain is None else f" {claim(gain, done.after)}"
    return _with_words(stack, edit.meaning, proof)


def applied_text(
    edits: EditStack, sha256: str, checked: Comparison | None, degree: float = 1.0
) -> str:
    """What edits from a file do, on what they were proved, and what they do on these probes.

    sha256: of the head that they were put on. checked: with them against without them, on
    probes of the user's own; None if there are none. degree: what theirs were multiplied by.
    """
    lines = [] if edits.edits else [NO_EDITS]
    for edit in edits.edits[-MOST_EDITS:]:
        told = edit.meaning or _meaning(f"An edit of {_class(edit)}", edit)
        proof = edit.proof or "The file does not say on what it was proved."
        lines += [shortened(told, LONGEST), f"  When it was made: {shortened(proof, LONGEST)}"]
        lines += _here(edit, degree)
    more = len(edits.edits) - MOST_EDITS
    lines += [f"and {more} more edits"] if more > 0 else []
    lines += [OTHER_PRECISION] if edits.edits and edits.sha256 != sha256 else []
    if checked is None:
        return "\n".join([*lines, "", UNCHECKED])
    return "\n".join([*lines, "", "Here, on these probes:", group_text(checked)])


def applied_picture(checked: Comparison) -> Image.Image:
    """The groups without and with the edits."""
    return draw_group_bars(checked.after, checked.before)


def _with_words(stack: EditStack, meaning: str, proof: str) -> EditStack:
    return stack.undo().push(replace(stack.edits[-1], meaning=meaning, proof=proof))


def _class(edit: Edit) -> str:
    return f"class '{edit.class_name}'" if edit.class_name else f"class {edit.class_index}"


def _here(edit: Edit, degree: float) -> list[str]:
    """The degree that an edit has now, where that is another one or none."""
    now = edit.degree * degree
    if now == 0:
        return ["  Here: at degree 0, which changes nothing."] if edit.cells else []
    return [f"  Here: at degree {now:g}."] if degree != 1 else []


def _meaning(what: str, edit: Edit) -> str:
    if not edit.cells:
        return f"Changes nothing: no number of the last layer was edited for {_class(edit)}."
    by = f", found by {edit.method}" if edit.method else ""
    return f"{what}: {numbers_edited(len(edit.cells))} of the last layer{by}."


def _judges(done: Neutralized) -> str:
    if done.learned:
        return "that the classifier may have learned from"
    if done.is_in_sample:
        return "that chose it"
    if done.edit.method in SEARCHED and done.ladder is not None and done.ladder.in_sample:
        return "each judged by an edit that was chosen without it"
    return "that did not choose it"


def _groups(degree: float, before: GroupMetrics | None, after: GroupMetrics, judges: str) -> str:
    count = sum(after.counts)
    was = "" if before is None else f"{percent(before.worst)} -> "
    mean = "" if before is None else f"{percent(before.mean)} -> "
    return (
        f"At degree {degree:g}, on {count} pictures in {sum(n > 0 for n in after.counts)} groups "
        f"{judges}: worst group{after.of_groups} {was}{percent(after.worst)}, mean "
        f"{mean}{percent(after.mean)}."
    )
