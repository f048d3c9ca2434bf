"""The always visible script: the host calls it at the stations of a generation."""

from __future__ import annotations

from typing import Any

from modules import script_callbacks, scripts, shared

from . import host, infotext
from .axes import OVERRIDES
from .panel import build_panel
from .pipeline import PipelineSession
from .session import Sessions
from .settings import NAMES, Settings, read_arguments

TITLE = "Detour"
"""Frozen: ids, the API's key and saved defaults are made from it."""

KEPT = "detour_settings"
"""Where the settings of a generation are kept, on the host's own object for it."""

SESSIONS = Sessions()
PIPELINES = PipelineSession(shared)
"""The two hold what is under way in this process; callbacks have no other way to find it."""


class DetourScript(scripts.Script):
    """Reads the settings, writes them into the picture's parameters, opens the bypass."""

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
        try:
            settings = read_arguments(args, getattr(p, OVERRIDES, None))
        except ValueError as error:  # the host would only print it and go on
            host.tell(p, str(error))
        if settings is not None and settings.enabled and not _can_sample():
            host.tell(p, host.TOO_OLD)
            settings = None
        setattr(p, KEPT, settings if settings is not None and settings.is_on else None)
        infotext.write(p.extra_generation_params, settings)

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None:
        settings = getattr(p, KEPT, None)
        is_hires = bool(getattr(p, "is_hr_pass", False))
        if settings is not None and not settings.schedule(is_hires).is_off:
            SESSIONS.arm(p, settings)

    def process_batch(self, p: Any, *args: Any, **kwargs: Any) -> None:
        settings = getattr(p, KEPT, None)
        if settings is not None and host.runs_pipelines(script_callbacks):
            PIPELINES.open(p, settings)

    def postprocess_batch(self, p: Any, *args: Any, **kwargs: Any) -> None:
        PIPELINES.close()

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
        host.show_told(p, processed)


def _can_sample() -> bool:
    return host.has_sampling_hook(scripts.Script) or host.runs_pipelines(script_callbacks)
