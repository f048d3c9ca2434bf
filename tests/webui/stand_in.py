"""Our stand-in for a web UI's `modules` package: the contract that Detour relies on.

Facts about the hosts are in the docstrings; nothing here is taken from them. It is put into
`sys.modules` for a test and taken out again.
"""

from __future__ import annotations

import sys
import tempfile
import types
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SHIM = ROOT / "scripts" / "detour.py"
ARGUMENTS = [
    "enabled",
    "strength",
    "shape",
    "start_percent",
    "end_percent",
    "apply_to",
    "schedule_by",
    "skip_compute",
    "points",
    "hires",
    "hires_strength",
    "refiner",
    "relief_strength",
    "relief_start_percent",
    "relief_end_percent",
    "fade_strength",
    "fade_start_percent",
    "fade_end_percent",
    "fade_toward",
    "fade_seed",
    "blocks",
]
"""The order of the arguments; published, so new ones come after these."""

EVENTS = (
    "ui_settings",
    "before_ui",
    "script_unloaded",
    "cfg_denoiser",
    "model_loaded",
    "after_process",
    "app_started",
    "ui_tabs",
)


class Anything:
    """A Gradio class or component that accepts whatever it is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.value = kwargs.get("value")
        self.kwargs = kwargs
        self.changes: list[dict] = []

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def change(self, **kwargs: Any) -> None:
        self.changes.append(kwargs)

    input = change


class InputAccordion(Anything):
    """`modules.ui_components.InputAccordion`: a checkbox that has its accordion."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.accordion = Anything()


class Callbacks:
    """`modules.script_callbacks`: lists of functions, cleared by "Reload UI"."""

    def __init__(self, events: tuple[str, ...]) -> None:
        self.lists: dict[str, list] = {event: [] for event in events}
        for event in events:
            setattr(self, f"on_{event}", self.lists[event].append)

    def remove_callbacks_for_function(self, function: Any) -> None:
        for functions in self.lists.values():
            functions[:] = [one for one in functions if one != function]

    def clear_callbacks(self) -> None:
        for functions in self.lists.values():
            functions.clear()

    def fire(self, event: str, *args: Any) -> None:
        """A host prints what a callback raises and goes on; a test wants to see it."""
        for function in list(self.lists[event]):
            function(*args)


class Options:
    """`modules.shared.opts`."""

    def __init__(self) -> None:
        self.added: dict[str, Any] = {}

    def add_option(self, name: str, info: Any) -> None:
        self.added[name] = info
        setattr(self, name, info.default)


class Devices(types.ModuleType):
    """`modules.devices`: the CPU, and what was asked of it."""

    def __init__(self) -> None:
        super().__init__("modules.devices")
        self.collected = 0

    def get_optimal_device(self) -> str:
        return "cpu"

    def torch_gc(self) -> None:
        self.collected += 1


class OptionInfo:
    """`modules.shared.OptionInfo`."""

    def __init__(self, default=None, label="", component=None, component_args=None, section=None):
        self.default, self.label, self.section = default, label, section


class Script:
    """`modules.scripts.Script` of A1111 1.10."""

    def elem_id(self, item: str) -> str:
        return f"script_txt2img_{self.title().lower()}_{item}"

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None:
        return None


class OldScript:
    """The same before 1.10, and in SD.Next: without a call before every sampling."""

    elem_id = Script.elem_id


def make_modules(kind: str) -> dict[str, types.ModuleType]:
    """The modules of a host: `a1111`, `old` (before 1.10) or `sdnext`."""
    package = types.ModuleType("modules")
    package.__path__ = []
    has_after_process = kind == "sdnext"
    events = tuple(e for e in EVENTS if e != "after_process" or has_after_process)
    scripts = types.ModuleType("modules.scripts")
    scripts.Script = Script if kind == "a1111" else OldScript
    scripts.AlwaysVisible = object()
    scripts.scripts_data = []
    shared = types.ModuleType("modules.shared")
    shared.opts, shared.OptionInfo = Options(), OptionInfo
    shared.cmd_opts = types.SimpleNamespace()
    paths = types.ModuleType("modules.paths")
    paths.script_path = paths.data_path = tempfile.gettempdir()
    paths.models_path = str(Path(paths.data_path) / "models")
    components = types.ModuleType("modules.ui_components")
    components.InputAccordion = InputAccordion
    gradio = types.ModuleType("gradio")
    for name in (
        "Slider",
        "Dropdown",
        "Checkbox",
        "Textbox",
        "Number",
        "Markdown",
        "Row",
        "Accordion",
    ):
        setattr(gradio, name, type(name, (Anything,), {}))
    gradio.Image = type("Image", (Anything,), {})
    gradio.update = lambda **kwargs: {"__type__": "update", **kwargs}
    callbacks = Callbacks(events)
    parts = {
        "scripts": scripts,
        "shared": shared,
        "script_callbacks": callbacks,
        "ui_components": components,
        "paths": paths,
        "devices": Devices(),
    }
    for name, module in parts.items():
        setattr(package, name, module)
    named = {f"modules.{name}": module for name, module in parts.items()}
    return {"modules": package, **named, "gradio": gradio}


@contextmanager
def modules_in_place(kind: str):
    """The stand-in in `sys.modules` inside the `with`, and what was there before after it."""
    before = _taken_out()
    made = make_modules(kind)
    sys.modules.update(made)
    try:
        yield made
    finally:
        _taken_out()
        sys.modules.update(before)


def _taken_out() -> dict[str, types.ModuleType]:
    """The modules of a host and Detour's own for it, no longer in `sys.modules`."""
    names = [n for n in sys.modules if n.split(".")[0] in ("modules", "gradio", "detour_webui")]
    return {name: sys.modules.pop(name) for name in names}


def run_shim(path: Path) -> types.ModuleType:
    """Execute a script as the hosts do: by path, named like the file, not in `sys.modules`."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(path.name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
