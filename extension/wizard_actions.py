"""What the page "Mend by pointing" does: pictures, clicks, the edit, its file.

Loading this file loads what classifiers need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from ..demo.probe_faces import probe_faces
from ..detour.checks import counted
from ..detour.classifier.model import NOTHING, predict
from ..detour.classifier.save import save_new_classifier
from ..detour.edit.edited import EditedClassifier
from ..detour.edit.file import save_new_edits
from ..detour.files import name_below
from ..detour.images import check_image
from ..detour.probes.labels import RIGHT_WRONG, labelled_probes, read_marks
from ..detour.probes.pictures import Source, make_thumbnail
from ..detour.report.cards import BETTER, WORSE, Card, card_at, draw_cards
from ..detour.report.edit import edit_picture, edit_text
from ..detour.report.mending import mending_lines
from ..detour.report.proof import described
from ..detour.search.neutralize import neutralize_classifier
from ..detour.search.settings import KEEP_RIGHT
from .actions import dropped, pictures_in
from .classifier_host import OnDevice, load_hosted
from .folders import edit_save_folder, model_save_folder
from .wizard import OWN_DEFAULT
from .work import Action, Shown, Work

MOST = 240
"""Pictures that are shown, and can be clicked."""
FACES, SEED = 48, 1
FIRST = "Try the tiny classifier, or choose one with pictures of yours and press Look."
WRONG, RIGHT = RIGHT_WRONG[1], RIGHT_WRONG[0]


@dataclass(frozen=True, eq=False)
class Mending:
    """A classifier and what it says of some pictures.

    tag: of a tagger, the one that is looked at, as it was typed. says: for each picture, in
    words. wrong: the numbers of those that were clicked; clicks write into it. mended: the
    classifier with the edit, and what it says.
    """

    classifier: EditedClassifier
    tag: str
    sources: tuple[Source, ...]
    pictures: tuple[Image.Image, ...]
    says: tuple[str, ...]
    wrong: set[int] = field(default_factory=set)
    mended: EditedClassifier | None = None
    now: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Page(Shown):
    """What the page shows after an action: both sheets, None where there is none, and the
    numbers of the pictures that are clicked."""

    before: Any = None
    after: Any = None
    marks: str = ""


def try_faces(held: Any, work: Work) -> tuple[Mending, Page]:
    """The classifier and the people that come with Detour."""
    faces = probe_faces(FACES, SEED, correlation=0.5)
    order = sorted(range(FACES), key=lambda number: (7 * number) % FACES)
    pictures = tuple(faces.pictures[number] for number in order)
    made = _look(load_hosted(work, OWN_DEFAULT), "", pictures, work)
    told = (
        f"{FACES} people, and what the tiny classifier takes each for. Nurses wear blue and "
        "builders yellow: click everyone with the wrong job, then press Mend."
    )
    return made, _page(made, told)


def look(
    held: Any, work: Work, file: str | None, tag: str | None, files: Any, folder: str
) -> tuple[Mending, Page]:
    """A classifier, and what it says of dropped pictures or of those in a folder."""
    if not file:
        raise ValueError("No classifier was chosen: put one into models/image_classifiers.")
    paths, notes = (dropped(files), ()) if files else pictures_in(folder)
    for path in paths[:MOST]:
        check_image(path)
    made = _look(load_hosted(work, file), (tag or "").strip(), tuple(paths[:MOST]), work)
    told = f"Click each of the {len(made.sources)} pictures that has the wrong label."
    if len(paths) > MOST:
        told += f" These are the first {MOST} of {len(paths)}."
    return made, _page(made, " ".join([told, *notes]))


def click(held: Any, place: Sequence[float]) -> Page | None:
    """The picture at a pixel of the sheet is wrong, or no longer; None where there is none."""
    if not isinstance(held, Mending):
        return None
    number = card_at(len(held.sources), *place[:2])
    if number is None:
        return None
    held.wrong.symmetric_difference_update({number})
    return _page(held, _clicked(held))


def mark(held: Any, work: Work, text: str | None) -> tuple[Mending, Page]:
    """The pictures with these numbers are wrong, all others right."""
    made = need_pictures(held)
    marks = read_marks(f"{WRONG}: {text or ''}", RIGHT_WRONG, [""] * len(made.sources))
    wrong = {number for number, label in enumerate(marks.labels) if label == WRONG}
    made = replace(made, wrong=wrong)
    return made, _page(made, _clicked(made))


def mend(held: Any, work: Work, keep_right: float = KEEP_RIGHT) -> tuple[Mending, Page]:
    """Find the edit for the clicked pictures; what each picture is called before and after."""
    made = need_pictures(held)
    wrong = frozenset(made.wrong)  # clicks go on meanwhile
    classifier = replace(made.classifier, runtime=OnDevice(work))
    labels = [WRONG if number in wrong else RIGHT for number in range(len(made.sources))]
    probe_set = labelled_probes(made.sources, labels)
    _, done = neutralize_classifier(
        classifier,
        probe_set,
        work.shared("Searching"),
        method="mistakes",
        # Of few pictures `auto` would take one weight, which mends less: nobody compares here.
        size="one_weight" if made.classifier.unedited.bias is None else "one_weight_bias",
        target_class=made.tag,
        keep_right=keep_right,
    )
    if not done.edit.cells:
        raise ValueError(mending_lines(done)[0])
    done = described(done, WRONG)
    mended = classifier.with_stack(done.stack)
    made = replace(made, mended=mended, now=_says(mended, made.tag, made.sources))
    page = _page(made, f"{_outcome(made, wrong)} {mending_lines(done)[0]}")
    return made, replace(page, report=edit_text(done, WRONG), chart=edit_picture(done, WRONG))


def save_edit(held: Any, work: Work, name: str) -> tuple[Mending, Page]:
    """The edit as a file of a few kilobytes."""
    made = need_mended(held)
    assert made.mended is not None
    path = save_new_edits(made.mended.stack, name or "", edit_save_folder())
    told = f"Saved {name_below(path, edit_save_folder())} in detour/edits."
    return made, _page(made, f"{told} It belongs to this classifier: apply it under All tools, 7.")


def save_classifier(held: Any, work: Work, name: str) -> tuple[Mending, Page]:
    """The mended classifier as a file of its own."""
    made = need_mended(held)
    assert made.mended is not None
    path = save_new_classifier(made.mended.edited(), name or "", model_save_folder())
    told = f"Saved {name_below(path, model_save_folder())} in models/image_classifiers."
    return made, _page(made, told)


ACTIONS: dict[str, Action] = {
    "try_faces": try_faces,
    "look": look,
    "mark": mark,
    "mend": mend,
    "save_edit": save_edit,
    "save_classifier": save_classifier,
}


def need_pictures(held: Any) -> Mending:
    """What was looked at; ValueError if nothing was."""
    if not isinstance(held, Mending):
        raise ValueError(f"There are no pictures yet. {FIRST}")
    return held


def need_mended(held: Any) -> Mending:
    """What was mended; ValueError if nothing was."""
    made = need_pictures(held)
    if made.mended is None:
        raise ValueError("There is nothing to save yet: click the wrong pictures and press Mend.")
    return made


def _look(
    classifier: EditedClassifier, tag: str, sources: tuple[Source, ...], work: Work
) -> Mending:
    about = classifier.unedited.description
    if about.activation == "sigmoid" and len(about.labels) > 1 and not tag:
        raise ValueError(
            f"This classifier has {len(about.labels)} tags, and a picture may have several: name "
            "the one that is wrong on some of your pictures."
        )
    if tag:
        about.index_of(tag)
    pictures = tuple(Image.fromarray(make_thumbnail(source).numpy()) for source in sources)
    return Mending(classifier, tag, sources, pictures, _says(classifier, tag, sources))


def _says(classifier: EditedClassifier, tag: str, sources: tuple[Source, ...]) -> tuple[str, ...]:
    """What a classifier says of each picture, in words; of a tagger whether the tag is there."""
    found = predict(classifier.edited(), classifier.logits(sources))
    about = classifier.unedited.description
    if about.activation != "sigmoid":
        return tuple(one.label for one in found)
    name = about.labels[about.index_of(tag or about.labels[0])]
    return tuple(name if name in one.labels else NOTHING for one in found)


def _clicked(made: Mending) -> str:
    left = len(made.sources) - len(made.wrong)
    return f"{len(made.wrong)} wrong, {left} right. Click a picture again to take it back."


def _outcome(made: Mending, wrong: frozenset[int]) -> str:
    moved = {n for n, (a, b) in enumerate(zip(made.says, made.now, strict=True)) if a != b}
    right = len(made.sources) - len(wrong)
    return (
        f"{len(moved & wrong)} of {counted(len(wrong), 'wrong picture')} and "
        f"{len(moved - wrong)} of {right} right ones changed their label."
    )


def _page(made: Mending, told: str) -> Page:
    """Both sheets as they are now."""
    pairs = list(zip(made.pictures, made.says, strict=True))
    before = [
        Card(picture, (f"{n + 1}: {says}", ""), WORSE, "wrong")
        if n in made.wrong
        else Card(picture, (f"{n + 1}: {says}", ""))
        for n, (picture, says) in enumerate(pairs)
    ]
    after = [
        Card(
            picture, (f"{n + 1}: {now}", f"was {says}"), BETTER if n in made.wrong else WORSE, "new"
        )
        if now != says
        else Card(picture, (f"{n + 1}: {now}", ""))
        for n, ((picture, says), now) in enumerate(zip(pairs, made.now, strict=False))
    ]
    marks = ", ".join(str(number + 1) for number in sorted(made.wrong))
    return Page(
        told,
        None,
        None,
        before=draw_cards(before),
        after=draw_cards(after) if after else None,
        marks=marks,
    )
