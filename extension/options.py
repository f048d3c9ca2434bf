"""Detour's page in the hosts' settings: how the panel looks when the page is opened."""

from __future__ import annotations

from typing import Any

import gradio

from .settings import Settings

SECTION = ("detour", "Detour")
ENABLED = "detour_enabled_at_start"
STRENGTH = "detour_strength_at_start"


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


def start_values(opts: Any) -> tuple[bool, float]:
    """Whether the panel starts switched on, and at what strength."""
    enabled = getattr(opts, ENABLED, Settings.enabled)
    return bool(enabled), float(getattr(opts, STRENGTH, Settings.strength))
