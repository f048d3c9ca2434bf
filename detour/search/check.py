"""What edits from a file do on pictures of the user's own: groups, or right and wrong ones."""

from __future__ import annotations

from dataclasses import replace

from ..edit.edited import EditedClassifier
from ..judge.compare import Comparison, compare, compare_classifiers
from ..judge.mending import mending
from ..probes.labels import RIGHT_WRONG
from ..probes.probe_set import ProbeSet
from .mistakes import prepared
from .settings import Search


def check_edits(
    after: EditedClassifier, before: EditedClassifier, probe_set: ProbeSet
) -> Comparison:
    """A classifier with the edits against the one without, on probes.

    Of a tagger the tag of the last edit is measured. Of pictures that are labelled right or wrong,
    as `before` got them, it is told how many are mended and broken; nothing is claimed of the
    worst group there: the wrong ones begin at 0, so that any edit gains. Raises ValueError for
    probes that the classifier cannot be measured on.
    """
    tag, about, row = "", after.unedited.description, None
    if after.stack.edits:
        row = after.stack.edits[-1].class_index
    if about.activation == "sigmoid" and row is not None:
        tag = about.labels[row]
    if set(probe_set.attributes) != set(RIGHT_WRONG):
        return compare_classifiers(after, probe_set, before, target_class=tag)
    seen = before.probes(probe_set, tag=tag)
    search = Search(method="mistakes", target_class=row)
    probes, _ = prepared(seen, before.stack, search)
    done = compare(probes, after.stack, (probes, before.stack))
    found = mending(done.after)
    told = (
        f"Of {found.mended.count} wrong pictures {found.mended.hits} are mended, and of "
        f"{found.broken.count} right ones {found.broken.hits} broke."
    )
    return replace(done, gain=None, notes=(told, *done.notes))
