"""What `scripts/detour.py` hands over to: the script class, and the callbacks of the host.

The tab and the routes are imported when the host asks for them, so that whatever goes wrong
there leaves the panel alone.
"""

from __future__ import annotations

import importlib
from typing import Any

from modules import script_callbacks, scripts, shared

from . import host
from .axes import add_axes
from .options import add_options
from .script import PIPELINES, SESSIONS, DetourScript

__all__ = ["DetourScript", "register"]


def register() -> None:
    """Register all callbacks, once however often it is called; the host may have cleared them."""
    _only_once(script_callbacks.on_ui_settings, _on_settings)
    _only_once(script_callbacks.on_before_ui, _on_before_ui)
    _only_once(script_callbacks.on_ui_tabs, _on_ui_tabs)
    _only_once(script_callbacks.on_app_started, _on_app_started)
    _only_once(script_callbacks.on_script_unloaded, _on_unloaded)
    if host.runs_pipelines(script_callbacks):
        _only_once(script_callbacks.on_after_process, PIPELINES.close)
    else:
        _only_once(script_callbacks.on_cfg_denoiser, SESSIONS.on_denoiser)
        _only_once(script_callbacks.on_model_loaded, SESSIONS.detach_all)
    # Without a page (--nowebui) the host makes its scripts before it calls back for one.
    add_axes(scripts)


def _only_once(add: Any, function: Any) -> None:
    script_callbacks.remove_callbacks_for_function(function)
    add(function)


def _on_settings() -> None:
    add_options(shared)


def _on_before_ui() -> None:
    add_axes(scripts)


def _on_ui_tabs() -> list[tuple[Any, str, str]]:
    return importlib.import_module(".tab", __package__).build_tab()


def _on_app_started(_demo: Any, app: Any) -> None:
    importlib.import_module(".routes", __package__).add_routes(app, shared.cmd_opts)


def _on_unloaded() -> None:
    SESSIONS.detach_all()
    PIPELINES.close()
