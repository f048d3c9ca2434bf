"""The page "Mend by pointing": pictures in, click the wrong ones, before and after side by side.

Written for what Gradio 3.41 and 4.40 have in common. Nothing is loaded before a button asks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import gradio as gr

from ..detour.classifier_words import WIZARD, WIZARD_INTRO
from ..detour.files import classifier_names
from ..detour.search.settings import KEEP_RIGHT, LEAST_KEPT
from .folders import model_roots
from .work import Action, Shown, TabSession

OWN_DEFAULT = "nurse_or_builder.safetensors"
"""The classifier that comes with Detour."""


def find_action(name: str) -> Action:
    """An action by its name; what it needs is imported here, at its first use."""
    return _actions().ACTIONS[name]


def _actions() -> Any:
    return importlib.import_module(".wizard_actions", __package__)


class Wizard:
    """The page while it is being built."""

    def __init__(self) -> None:
        self.session = gr.State(TabSession())

    def build(self) -> None:
        """Lay out the page, and connect it."""
        gr.Markdown(WIZARD_INTRO)
        self.faces = _button("faces", "Try it with the tiny classifier", "primary")
        with gr.Accordion("Or a classifier and pictures of yours", open=False):
            self.pictures_part()
        self.message = gr.Textbox(
            "Try the tiny classifier, or choose one with pictures of yours and press Look.",
            label="What to do",
            lines=2,
            interactive=False,
            elem_id=_id("message"),
        )
        with gr.Row():
            self.mend = _button("mend", "Mend", "primary")
            self.stop = _button("stop", "Stop", "stop")
        with gr.Row(equal_height=False):
            with gr.Column():
                gr.Markdown("### Before: click the wrong ones")
                self.before = _sheet("before")
            with gr.Column():
                gr.Markdown("### After")
                self.after = _sheet("after")
        with gr.Row():
            self.marks = _text("marks", "Wrong pictures", "")
            self.keep_right = gr.Slider(
                LEAST_KEPT,
                1,
                KEEP_RIGHT,
                step=0.05,
                label="Right pictures to keep",
                info=WIZARD["keep_right"],
                elem_id=_id("keep_right"),
            )
        with gr.Accordion("Save", open=True):
            self.name = _text("name", "Name", "mended")
            with gr.Row():
                self.save_edit = _button("save_edit", "Save edit")
                self.save_classifier = _button("save_classifier", "Save classifier")
        with gr.Accordion("Proof", open=False):
            self.chart = _sheet("chart")
            self.report = gr.Textbox(
                label="Report", lines=16, interactive=False, elem_id=_id("report")
            )
        for part in (self.message, self.before, self.after, self.marks, self.chart, self.report):
            part.do_not_save_to_config = True
        self.connect()

    def pictures_part(self) -> None:
        names = classifier_names(model_roots())
        value = OWN_DEFAULT if OWN_DEFAULT in names else next(iter(names), None)
        self.file = gr.Dropdown(
            names, value=value, label="Classifier", info=WIZARD["file"], elem_id=_id("file")
        )
        self.file.do_not_save_to_config = True  # what there is to choose differs from day to day
        self.tag = _text("tag", "Tag", "")
        self.files = gr.File(
            label="Pictures", file_count="multiple", file_types=["image"], elem_id=_id("files")
        )
        self.folder = _text("folder", "Folder of pictures", "")
        self.look = _button("look", "Look", "primary")

    def connect(self) -> None:
        """Which controls each action takes."""
        self.on("try_faces", self.faces.click)
        self.on("look", self.look.click, self.file, self.tag, self.files, self.folder)
        self.on("mark", self.marks.submit, self.marks)
        self.on("mend", self.mend.click, self.keep_right)
        self.on("save_edit", self.save_edit.click, self.name)
        self.on("save_classifier", self.save_classifier.click, self.name)
        outputs = [self.message, self.before, self.marks]
        self.before.select(_click, [self.session], outputs, show_progress=False, api_name=False)
        self.stop.click(TabSession.stop, [self.session], None, queue=False, api_name=False)

    def on(self, name: str, event: Callable[..., Any], *controls: Any) -> None:
        """Do the action `name` at an event, with the values of the controls."""
        results = [self.message, self.before, self.marks, self.after, self.report, self.chart]
        event(_handler(name), [self.session, *controls], results, api_name=False)


def _handler(name: str) -> Callable[..., list[Any]]:
    # Gradio finds its progress bar by the default of an argument that is not keyword-only.
    def handle(session: TabSession, bar: Any = gr.Progress(), *values: Any) -> list[Any]:  # noqa: B008
        def show(share: float, what: str) -> None:
            bar(share, desc=what)

        page = session.run(lambda: find_action(name), values, show)
        return [*_sheets(page), *_rest(page)]

    return handle


def _click(session: TabSession, event: gr.SelectData) -> list[Any]:
    """A click at the sheet. It goes past the work under way, which has its own copy of the
    clicks: none is lost while a search runs."""
    page = _actions().click(session.held, event.index)
    return [gr.update()] * 3 if page is None else _sheets(page)


def _sheets(page: Shown) -> list[Any]:
    """What goes to message, the first sheet and the numbers; a mere sentence leaves both."""
    before = getattr(page, "before", None)
    if before is None:
        return [page.message, gr.update(), gr.update()]
    return [page.message, gr.update(value=before, visible=True), getattr(page, "marks", "")]


def _rest(page: Shown) -> list[Any]:
    """What goes to the second sheet, the report and the chart."""
    if getattr(page, "before", None) is None:
        return [gr.update()] * 3
    after = getattr(page, "after", None)
    shown = gr.update(value=after, visible=after is not None)
    if page.report is None:
        return [shown, gr.update(), gr.update()]
    return [shown, page.report, gr.update(value=page.chart, visible=True)]


def _id(name: str) -> str:
    return f"detour_wizard_{name}"


def _button(name: str, label: str, variant: str = "secondary") -> Any:
    return gr.Button(label, variant=variant, elem_id=_id(name))


def _text(name: str, label: str, value: str) -> Any:
    return gr.Textbox(value, label=label, info=WIZARD[name], elem_id=_id(name))


def _sheet(name: str) -> Any:
    return gr.Image(
        show_label=False,  # it would lie over the pictures
        show_download_button=False,
        type="pil",
        interactive=False,
        visible=False,
        elem_id=_id(name),
    )
