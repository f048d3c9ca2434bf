"""Edits as files: bit-equal logits on another copy of the model, everything else refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch


@pytest.fixture
def edited(bench):
    """A classifier with one edit, made by hand."""
    plain, record = bench.classifier(), bench.lab.pack("detour.edit.record")
    change = record.Change(1, ((1, -3.0),), 0.25)
    return plain.with_stack(plain.stack.push(record.edit_of(change, plain.unedited_head)))


def apply(bench, classifier, **inputs):
    return bench.run("ApplyEdit", classifier=classifier, **inputs).result[0]


def save(bench, edited, filename="edit") -> Path:
    return Path(bench.run("SaveEdit", edit=edited.stack, filename=filename).result[0])


def test_a_friend_gets_bit_equal_logits(bench, edited, host_folders):
    path = save(bench, edited, "friends/shortcut")
    assert path == host_folders / "output" / "detour" / "friends" / "shortcut_00001.edit.json"
    assert path.stat().st_size < 10_000
    own, pictures = bench.classifier(), bench.pictures()[0]
    name = "friends/shortcut_00001.edit.json"
    options = bench.lab.node("DetourApplyEdit").define_schema().inputs[1].options
    assert options == ["none", name]
    theirs = apply(bench, own, file=name)
    assert theirs.stack.edits == edited.stack.edits
    assert torch.equal(theirs.logits(pictures), edited.logits(pictures))
    straight = apply(bench, own, edit=edited.stack)
    assert torch.equal(straight.logits(pictures), edited.logits(pictures))
    off = apply(bench, own, file=name, degree=0.0)
    assert torch.equal(off.logits(pictures), own.logits(pictures))
    half = apply(bench, own, file=name, degree=0.5)
    assert half.stack.edits[-1].degree == 0.5


def test_files_are_numbered_never_overwritten(bench, edited):
    first, second = save(bench, edited), save(bench, edited, "edit.edit.json")
    assert [path.name for path in (first, second)] == [
        "edit_00001.edit.json",
        "edit_00002.edit.json",
    ]
    assert first.read_bytes() == second.read_bytes()
    assert not [path for path in first.parent.iterdir() if path.suffix == ".tmp"]


def test_edits_go_on_top_of_others(bench, edited):
    pictures = bench.pictures()[0]
    removal = bench.run(
        "RemoveClass", classifier=bench.classifier(), probes=bench.probes(), class_name="high"
    ).result[0]
    both = apply(bench, edited, edit=removal.stack)
    assert both.stack.edits == edited.stack.edits + removal.stack.edits
    undone = both.with_stack(both.stack.undo())
    assert torch.equal(undone.logits(pictures), edited.logits(pictures))


def test_files_beside_the_models_are_listed_too(bench, edited, host_folders):
    path = save(bench, edited)
    path.rename(host_folders / "models" / "theirs.edit.json")
    pictures = bench.pictures()[0]
    found = apply(bench, bench.classifier(), file="theirs.edit.json")
    assert torch.equal(found.logits(pictures), edited.logits(pictures))


def test_the_same_edit_twice_is_refused(bench, edited):
    with pytest.raises(ValueError, match="is on this classifier already"):
        apply(bench, edited, edit=edited.stack)


def test_another_model_is_refused(bench, edited):
    for other in (bench.classifier(seed=1), bench.classifier(classes=3)):
        with pytest.raises(ValueError, match="were made for another model"):
            apply(bench, other, edit=edited.stack)


DAMAGE = {
    "nan": (lambda data: data["edits"][0]["cells"][0].update(new=float("nan")), "NaN"),
    "row": (lambda data: data["edits"][0]["cells"][0].update(row=7), "the head has 2 rows"),
    "column": (lambda data: data["edits"][0]["cells"][0].update(column=4800), "12 columns"),
    "old": (lambda data: data["edits"][0]["cells"][0].update(old=9.0), "was damaged"),
    "version": (lambda data: data.update(version=99), "version 99"),
    "format": (lambda data: data.update(format="lora"), "no edit file"),
    "degree": (lambda data: data["edits"][0].update(degree="much"), "degree of edit 0"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_one_sentence(bench, edited, case):
    damage, message = DAMAGE[case]
    path = save(bench, edited)
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message) as refusal:
        apply(bench, bench.classifier(), file=path.name)
    assert "\n" not in str(refusal.value)


NAMES = {
    "up": ("../escape", "leads out"),
    "absolute": ("/escape", "absolute path"),
    "windows": ("C:\\escape", "absolute path"),
    "empty": ("  ", "names no file"),
    "folder": ("folder/", "names no file"),
    "letters": ("what?", "leave out ?"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_stay_inside_the_folder(bench, edited, host_folders, case):
    name, message = NAMES[case]
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        save(bench, edited, name)
    assert not list(host_folders.rglob("*.edit.json"))


FILES = {
    "none": ("none", "No edit was given"),
    "ending": ("weights.safetensors", "ends with .edit.json"),
    "up": ("../x.edit.json", "leads out"),
    "gone": ("gone.edit.json", "was not found"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_read_are_refused(bench, case):
    name, message = FILES[case]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        apply(bench, bench.classifier(), file=name)
    with pytest.raises(ValueError, match="degree is nan"):
        apply(bench, bench.classifier(), file=name, degree=float("nan"))


def test_a_file_that_was_written_again_is_read_again(bench, edited):
    path = save(bench, edited)
    node = bench.lab.node("DetourApplyEdit")
    first = node.fingerprint_inputs(classifier=None, file=path.name, degree=1.0)
    assert node.fingerprint_inputs(classifier=None, file=path.name, degree=1.0) == first
    path.write_text(path.read_text() + " ")
    assert node.fingerprint_inputs(classifier=None, file=path.name, degree=1.0) != first
    assert node.fingerprint_inputs(classifier=None, file="none", degree=1.0) == ""


def test_edits_are_told_and_checked_on_connected_probes(bench):
    path = save(bench, bench.neutralize(bench.classifier()).result[0])
    (entry,) = json.loads(path.read_text())["edits"]
    assert entry["meaning"].startswith("Takes 'mark' out of the decision for class 'high': 2 ")
    assert "that did not choose it: worst group" in entry["proof"]
    own = bench.classifier()
    done = bench.run("ApplyEdit", classifier=own, file=path.name)
    told = done.result[1]
    assert (
        entry["meaning"] in told and entry["proof"] in told and done.ui == {"detour_report": [told]}
    )
    done = bench.run("ApplyEdit", classifier=own, file=path.name, probes=bench.probes())
    assert "points better" in done.result[1] and "That holds only if" in done.result[1]
    assert done.ui["detour_report"] == [done.result[1]] and done.ui["detour_chart"]
    off = bench.run("ApplyEdit", classifier=own, file=path.name, degree=0.0, probes=bench.probes())
    assert "No improvement is shown: the worst group is as right as it was." in off.result[1]
    with pytest.raises(ValueError, match="These probes have no classes"):
        bench.run("ApplyEdit", classifier=own, file=path.name, probes=bench.probes(named=False))


def test_right_and_wrong_pictures_tell_what_is_mended_and_what_breaks(bench, edited):
    own, (pictures, numbers, _) = bench.classifier(), bench.pictures(240)
    called = own.logits(pictures).argmax(dim=1)
    wrong = (called != numbers).tolist()
    probes = bench.lab.pack("detour.probes.labels").labelled_probes(
        list(pictures), ["wrong" if one else "right" for one in wrong]
    )
    told = bench.run("ApplyEdit", classifier=own, edit=edited.stack, probes=probes).result[1]
    now = edited.logits(pictures).argmax(dim=1)
    mended = sum(w and a == b for w, a, b in zip(wrong, now, numbers, strict=True))
    broke = sum(not w and a != b for w, a, b in zip(wrong, now, numbers, strict=True))
    assert f"Of {sum(wrong)} wrong pictures {mended} are mended, and of " in told
    assert f"{240 - sum(wrong)} right ones {broke} broke." in told
    here = told.split("Here, on these probes:")[1]
    assert "points better" not in here and "improvement" not in here
