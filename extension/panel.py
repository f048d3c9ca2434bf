"""The panel in the txt2img and img2img tabs: the node's inputs and a picture of the schedule.

Written for what Gradio 3.41 and 4.40 have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from modules.ui_components import InputAccordion

from ..detour.progress import SigmaTable
from ..detour.report.schedule import draw_schedule, draw_schedules
from ..detour.ways.presets import Preset, parse_presets
from ..detour.words import DIAL, DIAL_INTRO, FADE, FADE_WEB, RELIEF, RELIEF_WEB, Words
from .options import start_values
from .settings import (
    CHOICES,
    KINDS_OF_WAYS,
    NAMES,
    RANGES,
    TITLES,
    Settings,
    read_arguments,
)

PRESETS = Path(__file__).resolve().parents[1] / "js" / "presets.json"
"""The same file that ComfyUI's node offers its starting points from."""

OWN_FIELDS, SHARED_FIELDS = ("strength", "start_percent", "end_percent"), ("shape", "schedule_by")
"""Of a schedule: those that each way has for itself, and those that all have in common."""
MORE = (
    ("shape", "schedule_by", "apply_to"),
    ("points", "blocks"),
    ("hires", "refiner"),
    ("hires_strength",),
    ("skip_compute",),
)
"""The rows of the fold *More*."""
OWN = "as set below"
PRESET_FIELDS = (*(name for name in RANGES if name != "hires_strength"), *SHARED_FIELDS)
"""The fields that a starting point may set."""
DRAWN = (*PRESET_FIELDS, "points")
"""The fields that the picture of the schedules depends on."""
MORE_WAYS = {"relief": (RELIEF_WEB, RELIEF), "fade": (FADE_WEB, FADE)}
"""What a way is and what its fields mean, by what the names of its fields begin with."""


def build_panel(elem_id: Callable[[str], str], opts: Any, note: str) -> dict[str, Any]:
    """Build the panel; each field's control by the field's name, in the arguments' order.

    elem_id: makes the host's element ids. opts: the host's settings. note: what to say about
    this host, or nothing. The host calls this several times, so nothing is kept here.
    """
    enabled, strength = start_values(opts)
    controls: dict[str, Any] = {}

    def add(name: str, value: Any = None) -> None:
        controls[name] = _control(name, elem_id(name), value)

    accordion = InputAccordion(enabled, label="Detour", elem_id=elem_id("enabled"))
    with accordion as controls["enabled"]:
        gr.Markdown(f"{note}\n\n{DIAL_INTRO}".strip())
        starting_point = _starting_point(elem_id)
        add("strength", strength)
        with gr.Row():
            add("start_percent")
            add("end_percent")
        plot, message = _picture(elem_id, Settings(strength=strength))
        with gr.Accordion("More", open=False, elem_id=elem_id("more")):
            for row in MORE:
                with gr.Row():
                    for name in row:
                        add(name)
        for way, title in TITLES.items():
            with gr.Accordion(title, open=False, elem_id=elem_id(way)):
                gr.Markdown(MORE_WAYS[way][0])
                for name in (name for name in NAMES if name.startswith(f"{way}_")):
                    add(name)
        with gr.Accordion("What you should see", open=False, elem_id=elem_id("help")):
            gr.Markdown(seen())
    for part in (controls["enabled"], accordion.accordion, controls["strength"]):
        # What the hosts keep of a page's first start would lie over the values of the settings.
        part.do_not_save_to_config = True
    ordered = {name: controls[name] for name in NAMES}
    _keep_picture_fresh(ordered, plot, message)
    _fill_in(starting_point, [ordered[name] for name in PRESET_FIELDS])
    return ordered


def label(name: str) -> str:
    """A field's label: `start_percent` is `Start percent`."""
    return name.replace("_", " ").capitalize()


def seen() -> str:
    """What one should see of each field and each starting point, as Markdown."""
    told = {label(name): words(name).see for name in NAMES[1:]}
    told |= {f"{_named(one)} (starting point)": one.description for one in read_presets()}
    return "\n".join(f"- **{name}**: {text}" for name, text in told.items())


def words(name: str) -> Words:
    """What a field means; that of another way than the bypass begins with the way's name."""
    way, _, own = name.partition("_")
    return MORE_WAYS[way][1][own] if way in MORE_WAYS else DIAL[name]


def _control(name: str, elem_id: str, value: Any) -> Any:
    """The control of a field, at its default unless a value is given."""
    given: dict[str, Any] = {
        "label": label(name),
        "info": words(name).means,
        "elem_id": elem_id,
        "value": getattr(Settings, name) if value is None else value,
    }
    if name in RANGES:
        low, high = RANGES[name]
        return gr.Slider(minimum=low, maximum=high, step=0.01, **given)
    if name in CHOICES:
        return gr.Dropdown(choices=list(CHOICES[name]), **given)
    if name == "skip_compute":
        return gr.Checkbox(**given)
    # Also for whole numbers: a page's own numbers have no more than 53 bits.
    return gr.Textbox(**{**given, "value": str(given["value"])})


def read_presets() -> tuple[Preset, ...]:
    """The starting points that all hosts share."""
    return parse_presets(PRESETS.read_text(encoding="utf-8"))


def _starting_point(elem_id: Callable[[str], str]) -> Any:
    """The list of presets; a shortcut to other controls, so it is no argument itself."""
    chooser = gr.Dropdown(
        label="Starting point",
        info="Sets the schedule below; a place to begin, not yet tried on every checkpoint.",
        choices=[OWN, *map(_named, read_presets())],
        value=OWN,
        elem_id=elem_id("starting_point"),
    )
    chooser.do_not_save_to_config = True
    return chooser


def _fill_in(starting_point: Any, controls: list[Any]) -> None:
    """Let a chosen starting point set these controls."""
    starting_point.input(
        fn=preset_values,
        inputs=[starting_point],
        outputs=controls,
        show_progress="hidden",
        queue=False,
    )


def preset_values(chosen: str) -> list[Any]:
    """The values that a chosen starting point puts into `PRESET_FIELDS`: those of its own way."""
    found = [preset for preset in read_presets() if _named(preset) == chosen]
    sets: dict[str, Any] = {}
    for preset in found:
        before = f"{preset.way}_" if preset.way in TITLES else ""
        fields = {name: name for name in SHARED_FIELDS} | {before + n: n for n in OWN_FIELDS}
        sets |= {name: getattr(preset.schedule, field) for name, field in fields.items()}
    return [sets.get(name, gr.update()) for name in PRESET_FIELDS]


def _named(preset: Preset) -> str:
    """A starting point in a list of those of all ways."""
    return f"{TITLES[preset.way]}: {preset.name}" if preset.way in TITLES else preset.name


def _picture(elem_id: Callable[[str], str], start: Settings) -> tuple[Any, Any]:
    """The schedule as a picture, and a line for what is wrong with it."""
    plot = gr.Image(
        value=draw_settings(start),
        label="Schedule",
        elem_id=elem_id("schedule"),
        type="pil",
        interactive=False,
        show_label=False,
        height=240,
    )
    message = gr.Markdown("", elem_id=elem_id("message"))
    for component in (plot, message):
        component.do_not_save_to_config = True
    return plot, message


def _keep_picture_fresh(controls: dict[str, Any], plot: Any, message: Any) -> None:
    inputs = list(controls.values())
    for name in DRAWN:
        controls[name].change(
            fn=show_settings,
            inputs=inputs,
            outputs=[plot, message],
            show_progress="hidden",
            queue=False,
        )


def draw_settings(settings: Settings) -> Any:
    """The first pass as a PIL picture, on Stable Diffusion's sigmas: the bypass, and the other
    ways that are on."""
    table, dial = SigmaTable.of_stable_diffusion(), settings.schedule(is_hires=False)
    others = {
        title: schedule
        for title, kind in zip(TITLES.values(), KINDS_OF_WAYS[1:], strict=True)
        if not (schedule := settings.way(kind, is_hires=False).schedule).is_off
    }
    if not others:
        return draw_schedule(dial, table)
    return draw_schedules(others if dial.is_off else {"Variety Dial": dial, **others}, table)


def show_settings(*values: Any) -> tuple[Any, str]:
    """What the panel shows for its controls' values: the picture, or none and why."""
    try:
        return draw_settings(read_arguments(values)), ""
    except ValueError as error:
        return None, str(error)  # an older picture would seem to be these values'
