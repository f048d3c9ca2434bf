"""What the tab's buttons do, with the demo's classifier and probes; no page is needed."""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tab_probes import CLASSIFIER, host_with_data

from demo.probe_faces import probe_faces

OF_BUILDERS = ("evidence", "one_weight_bias", "builder")
LOAD = (CLASSIFIER, "auto", "", "auto", 0)
SEARCH = ("worst_group", "auto", "", 1.0, 1, "", 0, True)
PACKAGE = "detour_webui.extension"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A host with its data folder."""
    with host_with_data(tmp_path_factory.mktemp("data")) as host:
        yield host


class Tab:
    """A browser session, its buttons pressed from Python."""

    def __init__(self) -> None:
        self.module = importlib.import_module(f"{PACKAGE}.work")
        self.actions = importlib.import_module(f"{PACKAGE}.actions").ACTIONS
        self.session = self.module.TabSession()

    def do(self, name, *values, show=lambda share, what: None):
        return self.session.run(lambda: self.actions[name], values, show)

    @property
    def held(self):
        return self.session.held

    def logits(self):
        return self.held.classifier.edited().logits(probe_faces(40, 5).pictures)


@pytest.fixture
def tab(host):
    """A session with the classifier loaded."""
    made = Tab()
    assert made.do("load", *LOAD).message == f"Loaded {CLASSIFIER}: 2 classes."
    return made


@pytest.fixture
def ready(tab):
    """The same with its probes."""
    shown = tab.do("read_probes", "people")
    assert shown.message == "Read 800 probe pictures in 4 groups." and shown.chart is not None
    assert shown.attributes == ("long hair", "short hair")
    return tab


def test_all_classifiers_are_listed_and_nothing_outside(host):
    roots = importlib.import_module(f"{PACKAGE}.folders").model_roots()
    names = importlib.import_module("detour_webui.detour.files").classifier_names(roots)
    assert names == ["hostile.pt", "jobs.safetensors", CLASSIFIER]


def test_the_worst_group_rises_and_degree_0_is_bit_identical(ready):
    unedited = ready.logits()
    shown = ready.do("neutralize", "worst_group", "one_weight_bias", *SEARCH[2:])
    assert "number" in shown.message and "Worst-group accuracy" in shown.report
    edit = ready.held.classifier.stack.edits[-1]
    name = "worst_group_accuracy"
    assert edit.metrics_after[name] > edit.metrics_before[name] + 0.1
    assert shown.chart.width == 960
    assert not torch.equal(ready.logits(), unedited)

    found = ready.logits()
    shown = ready.do("set_degree", 0)
    assert "degree 0" in shown.message and shown.chart is not None
    assert torch.equal(ready.logits(), unedited)
    assert ready.do("slide_degree", 1).chart is not None
    assert torch.equal(ready.logits(), found)
    half = ready.do("set_degree", 0.5)
    assert "degree 0.5" in half.message
    after = ready.held.classifier.stack.edits[-1].metrics_after["worst_group_accuracy"]
    assert f"{100 * after:.1f} %" in half.report

    assert ready.do("undo").message.endswith("The classifier has 0 edits now.")
    assert torch.equal(ready.logits(), unedited)
    assert "There is no edit to undo" in ready.do("undo").message


def test_a_saved_edit_gives_a_second_load_the_same_logits(host, ready):
    ready.do("neutralize", *SEARCH)
    assert ready.do("save_edit", "mine").message == "Saved mine.edit.json in detour/edits."
    assert ready.do("save_edit", "mine").message == "Saved mine_00002.edit.json in detour/edits."
    assert (host.data / "detour" / "edits" / "mine.edit.json").stat().st_size < 10_000
    other = Tab()
    other.do("load", *LOAD)
    assert "1 edit now" in other.do("apply_edit", "mine.edit.json", 1.0).message
    assert torch.equal(other.logits(), ready.logits())
    assert "act twice" in other.do("apply_edit", "mine.edit.json", 1.0).message
    shown = other.do("save_classifier", "better")
    assert shown.message == "Saved better.safetensors in models/image_classifiers."
    third = Tab()
    third.do("load", "better.safetensors", *LOAD[1:])
    assert torch.equal(third.logits(), ready.logits())
    third.do("load", *LOAD)
    assert "Here: at degree 0.5." in third.do("apply_edit", "mine.edit.json", 0.5).report
    wrong = Tab()
    wrong.do("load", "jobs.safetensors", *LOAD[1:])
    assert "another model" in wrong.do("apply_edit", "mine.edit.json", 1.0).message
    (host.data / "models" / "image_classifiers" / "better.safetensors").unlink()


def test_a_class_is_removed_and_groups_are_evaluated(ready):
    before = ready.do("evaluate", "all", 0)
    assert before.message.startswith("Worst-group accuracy: ") and before.chart is not None
    assert "chosen" in ready.do("remove", "", 1.0, "one_weight", 0).message
    shown = ready.do("remove", "builder", 1.0, "one_weight_bias", 0)
    assert "privacy" in shown.report and shown.chart is not None
    stack = ready.held.classifier.stack
    assert stack.edits[-1].class_name == "builder"
    share = (ready.logits().argmax(dim=1) == 1).float().mean()
    assert share < 0.1
    assert "->" in ready.do("evaluate", "report", 0).report


def test_evidence_finds_its_own_degree_and_the_slider_multiplies_it(ready):
    ready.do("neutralize", *OF_BUILDERS, 1.0, 1, "short hair", 0, True)
    own = ready.held.classifier.stack.edits[-1].degree
    ready.do("set_degree", 0.5)
    assert ready.held.classifier.stack.edits[-1].degree == pytest.approx(own / 2)
    ready.do("undo")
    ready.do("neutralize", *OF_BUILDERS, 0.0, 1, "short hair", 0, True)
    assert ready.held.classifier.stack.edits[-1].degree == 0
    ready.do("set_degree", 1)
    assert ready.held.classifier.stack.edits[-1].degree == own


def test_a_found_degree_of_0_does_not_hold_the_slider(ready, monkeypatch):
    curves = importlib.import_module("detour_webui.detour.judge.degree")
    monkeypatch.setattr(curves.DegreeCurve, "best", lambda curve: 0.0)
    shown = ready.do("neutralize", *OF_BUILDERS, 1.0, 1, "short hair", 0, True)
    assert "No degree did better than none" in shown.message
    assert "no degree of this edit is better than none" in shown.report
    assert ready.held.classifier.stack.edits[-1].degree == 0
    assert "degree 0.5 now" in ready.do("slide_degree", 0.5).message
    assert ready.held.classifier.stack.edits[-1].degree == 0.5


def test_a_class_that_the_classifier_does_not_have_is_no_target_of_the_evaluation(ready):
    assert "Worst-group accuracy" in ready.do("evaluate", "all", 0, "builder").message
    assert "There is no class 'tall'" in ready.do("evaluate", "all", 0, "tall").message


def test_dropped_pictures_and_a_folder_are_classified(host, tab):
    folder = tab.do("classify", None, "2026-01-31", 2, 0)
    assert folder.message == "Classified 6 pictures with 0 edits on the classifier."
    assert len(folder.pictures) == 6 and "6 of 6 pictures kept" in folder.report
    files = sorted((host.data / "outputs" / "2026-01-31").iterdir())[:2]
    dropped = [str(files[0]), SimpleNamespace(name=str(files[1]))]
    shown = tab.do("classify", dropped, "", 2, 0)
    assert shown.message.startswith("Classified 2 pictures")
    assert [caption.split()[0] for _, caption in shown.pictures] == [
        caption.split()[0] for _, caption in folder.pictures[:2]
    ]


def test_stop_in_the_middle_keeps_nothing(ready):
    unedited, before = ready.logits(), ready.held
    seen = []

    def stop_at_third(share, what):
        seen.append((share, what))
        if len(seen) == 3:
            ready.session.stop()

    shown = ready.do("neutralize", *SEARCH, show=stop_at_third)
    assert shown.message == "Stopped: nothing of it was kept." and shown.report is None
    assert len(seen) == 3
    assert ready.held is before and torch.equal(ready.logits(), unedited)
    assert ready.session.work is None
    assert "edited" in ready.do("neutralize", *SEARCH).message


def test_a_stop_at_the_very_end_keeps_nothing_either(tab):
    def action(held, work):
        work.is_stopped = True
        return replace(held, probes="new"), tab.module.Shown("done")

    shown = tab.session.run(lambda: action, (), lambda share, what: None)
    assert shown.message.startswith("Stopped") and tab.held.probes is None


def test_an_interrupt_is_not_swallowed_and_the_session_is_free_again(tab):
    class Interrupt(BaseException):
        pass

    def action(held, work):
        raise Interrupt

    with pytest.raises(Interrupt):
        tab.session.run(lambda: action, (), lambda share, what: None)
    assert tab.session.work is None


def test_one_thing_at_a_time(tab):
    def action(held, work):
        return held, tab.session.run(lambda: action, (), lambda share, what: None)

    assert "still running" in tab.session.run(lambda: action, (), lambda *_: None).message


def test_a_missing_library_is_named(tab):
    def find():
        raise ModuleNotFoundError("No module named 'torchvision'")

    message = tab.session.run(find, (), lambda share, what: None).message
    assert "No module named 'torchvision'" in message and "\n" not in message


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("load", ("../x.safetensors", *LOAD[1:]), "'..'"),
        ("load", ("/etc/passwd", *LOAD[1:]), "absolute path"),
        ("load", ("none.safetensors", *LOAD[1:]), "was not found"),
        ("load", (None, *LOAD[1:]), "No classifier was chosen"),
        ("load", ("hostile.pt", *LOAD[1:]), "was refused"),
        ("load", (CLASSIFIER, "auto", "a, b, c", "auto", 0), "3 labels"),
        ("classify", (None, "", 3, 0), "drop pictures"),
        ("classify", (None, "../..", 3, 0), "'..'"),
        ("classify", (None, "damaged/nurse/long hair", 3, 0), "no picture that can be read"),
        ("classify", (None, "damaged", 3, 0), "no pictures"),
        ("classify", (None, "2026-01-31", None, 0), "top_k is None"),
        ("read_probes", ("",), "is empty"),
        ("read_probes", ("../detour",), "'..'"),
        ("read_probes", ("damaged",), "no picture that can be read"),
        ("neutralize", SEARCH, "There are no probes"),
        ("set_degree", (1.0,), "There is no edit yet"),
        ("set_degree", (float("nan"),), "degree is nan"),
        ("save_edit", ("x",), "There is no edit yet"),
        ("apply_edit", (None, 1.0), "No edit file"),
        ("apply_edit", ("x.json", 1.0), "ends with .edit.json"),
        ("apply_edit", ("../x.edit.json", 1.0), "'..'"),
        ("save_classifier", ("",), "names no file"),
        ("save_classifier", ("../x",), "'..'"),
        ("save_classifier", (".x",), "cannot be used"),
    ],
)
def test_bad_input_gets_one_sentence_and_changes_nothing(host, tab, name, values, told):
    before = tab.held
    shown = tab.do(name, *values)
    assert told in shown.message and "\n" not in shown.message and "Traceback" not in shown.message
    assert shown.report is None and tab.held is before
    assert not (host.data / "it_ran").exists()


def test_bad_settings_of_a_search_get_one_sentence(ready):
    before = ready.held
    for values, told in (
        (("best", *SEARCH[1:]), "method"),
        (("worst_group", "two", *SEARCH[2:]), "edit"),
        (("worst_group", "auto", "seven", *SEARCH[3:]), "no class 'seven'"),
        (("worst_group", "auto", "", 9, *SEARCH[4:]), "degree is 9"),
        (("evidence", "auto", "builder", 1, 3, "blue", 0, True), "attribute is 'blue'"),
        ((*SEARCH[:6], -1, True), "split_seed is -1"),
        ((*SEARCH, 0.2), "keep_right is 0.2"),
    ):
        assert told in ready.do("neutralize", *values).message
        assert ready.held is before


def test_probes_of_one_attribute_are_refused_by_the_search(tab):
    assert "add pictures without it" in tab.do("read_probes", "only_long").report
    shown = tab.do("neutralize", *SEARCH)
    assert "attribute" in shown.message and shown.report is None


def test_nothing_is_loaded_without_a_classifier(host):
    assert "No classifier is loaded" in Tab().do("undo").message
