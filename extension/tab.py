"""The tab "Detour": a page to mend a classifier by pointing, and one with all tools to find a
shortcut and to take it out.

Written for what Gradio 3.41 and 4.40 have in common. Nothing is loaded before a button asks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from ..detour.checks import MOST_WEIGHTS, STRONGEST_DEGREE
from ..detour.classifier_words import HELP, TAB_INTRO
from ..detour.files import classifier_names, edit_names
from ..detour.judge.compare import PARTS
from ..detour.search.settings import (
    AUTO,
    KEEP_RIGHT,
    LEAST_KEPT,
    METHODS,
    REMOVAL_SIZES,
    SIZES,
)
from .folders import edit_roots, model_roots
from .wizard import OWN_DEFAULT, Wizard
from .work import Action, Shown, TabSession

TITLE, TAB = "Detour", "detour_tab"
"""Frozen: saved defaults and links are made from them."""
ACTIVATIONS = ("auto", "softmax", "sigmoid")


def build_tab() -> list[tuple[Any, str, str]]:
    """The tab as the hosts want it: blocks, title, element id."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        _Tab().build()
    return [(blocks, TITLE, TAB)]


def find_action(name: str) -> Action:
    """An action by its name; what it needs is imported here, at its first use."""
    return importlib.import_module(".actions", __package__).ACTIONS[name]


class _Tab:
    """The tab while it is being built."""

    def __init__(self) -> None:
        self.session = gr.State(TabSession())

    def build(self) -> None:
        """Two pages: the wizard first, since it asks for least."""
        with gr.Tabs():
            with gr.Tab("Mend by pointing", elem_id=_id("page_mend")):
                Wizard().build()
            with gr.Tab("All tools", elem_id=_id("page_tools")):
                self.tools()

    def tools(self) -> None:
        gr.Markdown(TAB_INTRO)
        with gr.Row():
            with gr.Column(scale=1):
                with gr.Accordion("1. Classifier", open=True):
                    self.classifier_part()
                with gr.Accordion("2. Classify pictures", open=False):
                    self.classify_part()
                with gr.Accordion("3. Probes", open=True):
                    self.probes_part()
                with gr.Accordion("4. Neutralize a shortcut", open=True):
                    self.neutralize_part()
                with gr.Accordion("5. Remove a class", open=False):
                    self.remove_part()
                with gr.Accordion("6. Evaluate the groups", open=False):
                    self.evaluate_part()
                with gr.Accordion("7. Save and apply", open=False):
                    self.files_part()
            with gr.Column(scale=1, elem_id=_id("results")):
                self.results()
        self.connect()

    def classifier_part(self) -> None:
        names = classifier_names(model_roots())
        value = OWN_DEFAULT if OWN_DEFAULT in names else next(iter(names), None)
        self.file = _choice("file", "Classifier", names, value)
        with gr.Row():
            self.load = _button("load", "Load", "primary")
            self.refresh = _button("refresh", "Refresh lists")
        with gr.Accordion("If the file does not say", open=False):
            self.architecture = _text("architecture", "Architecture", "auto")
            self.labels = _text("labels", "Labels", "", lines=2)
            self.activation = _choice("activation", "Scores", ACTIVATIONS, "auto")
            self.label_threshold = _slider("label_threshold", "Tag threshold", 0, 0, 0.999, 0.001)

    def classify_part(self) -> None:
        self.files = gr.File(
            label="Pictures", file_count="multiple", file_types=["image"], elem_id=_id("files")
        )
        self.folder = _text("folder", "Folder of pictures", "")
        with gr.Row():
            self.top_k = _slider("top_k", "Labels a picture", 3, 1, 20, 1)
            self.threshold = _slider("threshold", "Least score", 0, 0, 1, 0.01)
        self.classify = _button("classify", "Classify", "primary")

    def probes_part(self) -> None:
        self.probes = _text("probes", "Folder of probes", "")
        self.read_probes = _button("read_probes", "Read probes", "primary")

    def neutralize_part(self) -> None:
        with gr.Row():
            self.method = _choice("method", "Method", METHODS, METHODS[0])
            self.edit = _choice("edit", "Edit", (AUTO, *SIZES), AUTO)
        self.target = _choice("target", "Target class", ("",), "", typed=True)
        self.degree = _slider("degree", "Degree", 1, -STRONGEST_DEGREE, STRONGEST_DEGREE, 0.05)
        with gr.Row():
            self.neutralize = _button("neutralize", "Neutralize", "primary")
            self.set_degree = _button("set_degree", "Set degree")
            self.undo = _button("undo", "Undo last edit")
        with gr.Accordion("More", open=False):
            self.max_weights = _slider("max_weights", "Most weights", 3, 1, MOST_WEIGHTS, 1)
            self.attribute = _choice("attribute", "Suspect feature", ("",), "", typed=True)
            self.auto_degree = gr.Checkbox(
                True, label="Best degree", info=HELP["auto_degree"], elem_id=_id("auto_degree")
            )
            self.seed = gr.Number(
                0, label="Split seed", info=HELP["split_seed"], elem_id=_id("split_seed")
            )
            self.keep_right = _slider(
                "keep_right", "Right pictures to keep", KEEP_RIGHT, LEAST_KEPT, 1, 0.05
            )

    def remove_part(self) -> None:
        self.remove_class = _choice("remove", "Class to remove", ("",), "", typed=True)
        self.remove_edit = _choice(
            "remove_edit", "Numbers to edit", REMOVAL_SIZES, REMOVAL_SIZES[0]
        )
        self.remove = _button("remove_button", "Remove (at the degree above)", "primary")

    def evaluate_part(self) -> None:
        self.part = _choice("part", "Part", PARTS, PARTS[0])
        self.evaluate = _button("evaluate", "Evaluate", "primary")

    def files_part(self) -> None:
        self.edit_name = _text("edit_name", "Name of the edit file", "edit")
        self.save_edit = _button("save_edit", "Save edit")
        self.edit_file = _choice("edit_file", "Edit file", edit_names(edit_roots()), None)
        self.apply_degree = _slider(
            "apply_degree", "Degree of the file", 1, -STRONGEST_DEGREE, STRONGEST_DEGREE, 0.05
        )
        self.apply_edit = _button("apply_edit", "Apply edit")
        self.classifier_name = _text("classifier_name", "Name of the classifier", "edited")
        self.save_classifier = _button("save_classifier", "Save classifier")

    def results(self) -> None:
        with gr.Row(equal_height=False):
            self.message = gr.Textbox(
                "Load a classifier first.",
                label="What happened",
                lines=2,
                interactive=False,
                elem_id=_id("message"),
                scale=4,
            )
            self.stop = _button("stop", "Stop", "stop")
        self.chart = gr.Image(
            label="Chart",
            show_label=False,  # it would lie over the title
            type="pil",
            interactive=False,
            visible=False,
            elem_id=_id("chart"),
        )
        self.gallery = gr.Gallery(
            label="Classified",
            show_label=False,
            columns=4,
            visible=False,
            elem_id=_id("gallery"),
        )
        self.report = gr.Textbox(
            label="Report", lines=24, max_lines=60, interactive=False, elem_id=_id("report")
        )
        for part in (self.message, self.chart, self.gallery, self.report):
            part.do_not_save_to_config = True

    def connect(self) -> None:
        """Which controls each action takes, and which lists it may change."""
        self.on(
            "load",
            self.load.click,
            "file architecture labels activation label_threshold",
            "target remove_class",
        )
        self.on("classify", self.classify.click, "files folder top_k threshold")
        self.on("read_probes", self.read_probes.click, "probes", "attribute")
        self.on(
            "neutralize",
            self.neutralize.click,
            "method edit target degree max_weights attribute seed auto_degree keep_right",
        )
        self.on("set_degree", self.set_degree.click, "degree")
        self.on("slide_degree", self.degree.release, "degree")
        self.on("undo", self.undo.click, "")
        self.on("remove", self.remove.click, "remove_class degree remove_edit seed")
        self.on("evaluate", self.evaluate.click, "part seed target")
        self.on("save_edit", self.save_edit.click, "edit_name", "edit_file")
        self.on("apply_edit", self.apply_edit.click, "edit_file apply_degree")
        self.on("save_classifier", self.save_classifier.click, "classifier_name", "file")
        # It says nothing itself: that would come late, over the answer of what was stopped.
        self.stop.click(TabSession.stop, [self.session], None, queue=False, api_name=False)
        self.refresh.click(
            lambda: [_list_of(name, Shown("")) for name in ("file", "edit_file")],
            None,
            [self.file, self.edit_file],
            queue=False,
            api_name=False,
        )

    def on(self, name: str, event: Callable[..., Any], controls: str, lists: str = "") -> None:
        """Do the action `name` at an event, with the values of the controls. Only the `lists`
        that it may change are its outputs: Gradio lays its progress over all of them."""
        results = [self.message, self.report, self.chart, self.gallery]
        event(
            _handler(name, lists.split()),
            [self.session, *(getattr(self, control) for control in controls.split())],
            [*results, *(getattr(self, one) for one in lists.split())],
            api_name=False,
        )


def _handler(name: str, lists: Sequence[str]) -> Callable[..., list[Any]]:
    # Gradio finds its progress bar by the default of an argument that is not keyword-only.
    def handle(session: TabSession, bar: Any = gr.Progress(), *values: Any) -> list[Any]:  # noqa: B008
        def show(share: float, what: str) -> None:
            bar(share, desc=what)

        shown = session.run(lambda: find_action(name), values, show)
        return [shown.message, *_results(shown), *(_list_of(one, shown) for one in lists)]

    return handle


def _results(shown: Shown) -> list[Any]:
    """What goes to report, chart and gallery."""
    if shown.report is None:
        return [gr.update(), gr.update(), gr.update()]
    return [
        shown.report,
        gr.update(value=shown.chart, visible=shown.chart is not None),
        gr.update(value=list(shown.pictures), visible=bool(shown.pictures)),
    ]


def _list_of(name: str, shown: Shown) -> Any:
    """What there is to choose in a list now: files as they are, names where they are new."""
    if name in ("file", "edit_file"):
        return gr.update(
            choices=classifier_names(model_roots()) if name == "file" else edit_names(edit_roots())
        )
    names = shown.attributes if name == "attribute" else shown.labels
    return gr.update() if names is None else gr.update(choices=["", *names], value="")


def _id(name: str) -> str:
    return f"detour_tab_{name}"


def _button(name: str, label: str, variant: str = "secondary") -> Any:
    return gr.Button(label, variant=variant, elem_id=_id(name))


def _text(name: str, label: str, value: str, lines: int = 1) -> Any:
    return gr.Textbox(value, label=label, info=HELP[name], lines=lines, elem_id=_id(name))


def _slider(name: str, label: str, value: float, low: float, high: float, step: float) -> Any:
    return gr.Slider(low, high, value, step=step, label=label, info=HELP[name], elem_id=_id(name))


def _choice(name: str, label: str, choices: Any, value: Any, typed: bool = False) -> Any:
    made = gr.Dropdown(
        list(choices),
        value=value,
        label=label,
        info=HELP[name],
        allow_custom_value=typed,
        elem_id=_id(name),
    )
    made.do_not_save_to_config = True  # what there is to choose differs from day to day
    return made
