"""The always visible script, and what `scripts/detour.py` hands over to: the host calls it at the
stations of a generation.

The tab and the routes are imported when the host asks for them, so that whatever goes wrong
there leaves the panel alone.
"""

from __future__ import annotations

import importlib
from typing import Any

from modules import script_callbacks, scripts, shared

from . import host, infotext
from .axes import OVERRIDES, add_axes
from .options import add_options
from .panel import build_panel
from .pipeline import PipelineSession
from .session import Sessions
from .settings import NAMES, Settings, is_off, read_arguments

TITLE = "Detour"
"""Frozen: ids, the API's key and saved defaults are made from it."""
KEPT = "detour_settings"
"""Where the settings of a generation are kept, on the host's own object for it."""
SESSIONS = Sessions()
PIPELINES = PipelineSession(shared)
# The host forces these two to be the module's: it makes a script object for each tab and new ones
# at each "Reload UI", calls its callbacks without any of them, and takes a callback back only by
# the very function that was added. What is under way in this process outlives them all.


class DetourScript(scripts.Script):
    """Reads the settings, writes them into the picture's parameters, opens the ways."""

    sorting_priority = 12

    def title(self) -> str:
        return TITLE

    def show(self, is_img2img: bool) -> Any:
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any]:
        panel = build_panel(self.elem_id, shared.opts, self._note())
        self.infotext_fields = [(control, infotext.reader(name)) for name, control in panel.items()]
        self.paste_field_names = [infotext.key(name) for name in NAMES]
        return list(panel.values())

    def _note(self) -> str:
        """What the panel has to say about this host; empty where all works."""
        if host.runs_pipelines(script_callbacks):
            return host.PIPELINES_NOTE
        return "" if host.has_sampling_hook(scripts.Script) else host.TOO_OLD

    def before_process(self, p: Any, *args: Any) -> None:
        SESSIONS.detach_all()
        PIPELINES.close()

    def process(self, p: Any, *args: Any) -> None:
        """Before anything is sampled; also where the parameters of the picture are fixed."""
        settings: Settings | None = None
        overrides = getattr(p, OVERRIDES, None)
        try:
            settings = None if is_off(args, overrides) else read_arguments(args, overrides)
        except ValueError as error:  # the host would only print it and go on
            host.tell(p, str(error))
        if settings is not None and not _can_sample():
            host.tell(p, host.TOO_OLD)
            settings = None
        if settings is not None and "fade_seed" not in (overrides or ()):
            settings = infotext.with_seed_of(host.parameters_refined(p), settings)
        setattr(p, KEPT, settings if settings is not None and settings.is_on else None)
        infotext.write(p.extra_generation_params, settings, _count_pictures(p))

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None:
        settings = getattr(p, KEPT, None)
        is_hires = bool(getattr(p, "is_hr_pass", False))
        if settings is not None and settings.kinds(is_hires):
            SESSIONS.arm(p, settings)

    def process_batch(self, p: Any, *args: Any, **kwargs: Any) -> None:
        settings = getattr(p, KEPT, None)
        if settings is not None and host.runs_pipelines(script_callbacks):
            PIPELINES.open(p, settings)

    def postprocess_batch(self, p: Any, *args: Any, **kwargs: Any) -> None:
        PIPELINES.close()

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
        host.show_told(p, processed)


def _count_pictures(p: Any) -> int:
    """Pictures with parameters of their own; SD.Next writes all of a generation the same ones."""
    if host.runs_pipelines(script_callbacks):
        return 1
    return getattr(p, "n_iter", 1) * getattr(p, "batch_size", 1)


def _can_sample() -> bool:
    return host.has_sampling_hook(scripts.Script) or host.runs_pipelines(script_callbacks)


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
    host.make_temporary_folder(shared.opts)


def _on_ui_tabs() -> list[tuple[Any, str, str]]:
    return importlib.import_module(".tab", __package__).build_tab()


def _on_app_started(_demo: Any, app: Any) -> None:
    importlib.import_module(".routes", __package__).add_routes(app, shared.cmd_opts)


def _on_unloaded() -> None:
    SESSIONS.detach_all()
    PIPELINES.close()
