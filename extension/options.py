"""Detour's page in the hosts' settings: how the panel looks when the page is opened, and
where the tab finds and computes classifiers."""

from __future__ import annotations

from typing import Any

import gradio

from .settings import Settings, convert

SECTION = ("detour", "Detour")
ENABLED = "detour_enabled_at_start"
STRENGTH = "detour_strength_at_start"
DEVICE = "detour_classifier_device"
DEVICES = ("auto", "cpu", "gpu")
CLASSIFIER_FOLDERS = "detour_classifier_folders"


def add_options(shared: Any) -> None:
    """Add the options to a host's `shared.opts`."""
    enabled = shared.OptionInfo(
        False, "Detour is switched on when the page is opened", gradio.Checkbox, section=SECTION
    )
    strength = shared.OptionInfo(
        Settings.strength,
        "Strength when the page is opened",
        gradio.Slider,
        {"minimum": -1, "maximum": 1, "step": 0.01},
        section=SECTION,
    )
    shared.opts.add_option(ENABLED, enabled)
    shared.opts.add_option(STRENGTH, strength)
    device = shared.OptionInfo(
        "auto",
        "Where classifiers compute (auto = the host's device, the CPU with --lowvram or --medvram)",
        gradio.Dropdown,
        {"choices": list(DEVICES)},
        section=SECTION,
    )
    folders = shared.OptionInfo(
        "",
        "More folders of image classifiers, separated by semicolons",
        gradio.Textbox,
        section=SECTION,
    )
    shared.opts.add_option(DEVICE, device)
    shared.opts.add_option(CLASSIFIER_FOLDERS, folders)


def start_values(opts: Any) -> tuple[bool, float]:
    """Whether the panel starts switched on, and at what strength.

    A strength that cannot be (the hosts' settings are a file) is the default.
    """
    enabled = bool(getattr(opts, ENABLED, Settings.enabled))
    try:
        strength = convert("strength", getattr(opts, STRENGTH, Settings.strength))
        return enabled, Settings(strength=strength).strength
    except ValueError:
        return enabled, Settings.strength
