"""Run beside a real host's checkout, by that host's own Python: its start, page and parser.

    python real_modules.py CHECKOUT DATA_FOLDER

DATA_FOLDER is an empty folder; this repository is linked into its `extensions`. Everything
imported is the host's own or was installed for it. Prints one line of JSON with what was
found. No model is loaded and nothing is sampled.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT, DATA = (Path(argument).resolve() for argument in sys.argv[1:3])
ALWAYS = ["--skip-torch-cuda-test", "--ui-debug-mode"]
NOT_NEO = ["--use-cpu", "all", "--no-half", "--no-download-sd-model"]
FORGE = (CHECKOUT / "modules_forge").is_dir()
NEO = FORGE and 'version = "neo"' in (CHECKOUT / "modules_forge/forge_version.py").read_text()


def start() -> None:
    """What the hosts' `webui.py` does before it builds the page."""
    extensions = DATA / "extensions"
    extensions.mkdir(parents=True)
    (extensions / "detour").symlink_to(ROOT, target_is_directory=True)
    forge = ["--always-cpu"] if FORGE else []
    own = ["--cpu"] if NEO else [*NOT_NEO, *forge]
    sys.argv = ["webui.py", "--data-dir", str(DATA), *ALWAYS, *own]
    sys.path[0] = str(CHECKOUT)
    os.chdir(CHECKOUT)
    if FORGE:
        importlib.import_module("modules_forge.initialization").initialize_forge()
    from modules import initialize

    initialize.imports()
    initialize.initialize()


def reload_ui() -> None:
    """The button "Reload UI"."""
    from modules import initialize, script_callbacks

    script_callbacks.script_unloaded_callback()
    initialize.initialize_rest(reload_script_modules=True)


def build_page() -> dict:
    """The whole page, built by the host; what there is of Detour in it and behind it."""
    from modules import script_callbacks, scripts, ui

    script_callbacks.before_ui_callback()
    ids = [str(block.elem_id) for block in ui.create_ui().blocks.values()]
    callbacks = script_callbacks.callback_map["callbacks_cfg_denoiser"]
    names = [callback.callback.__qualname__ for callback in callbacks]
    classes = [data.script_class.__name__ for data in scripts.scripts_data]
    axes = [
        axis.label
        for data in scripts.scripts_data
        for axis in getattr(data.module, "axis_options", [])
        if data.script_class.__module__ == "xyz_grid.py"
    ]
    return {
        "scripts": classes.count("DetourScript"),
        "denoiser callbacks": names.count("Sessions.on_denoiser"),
        "panels": [
            ids.count(f"script_{page}_detour_{control}")
            for page in ("txt2img", "img2img")
            for control in ("enabled", "strength")
        ],
        "tabs": ids.count("tab_detour_tab"),
        "axes": sum(label.startswith("[Detour]") for label in axes),
    }


def api_arguments() -> list[list[str]]:
    """The arguments that the host's API names, for each page that has the script."""
    from fastapi import FastAPI
    from modules.api.api import Api
    from modules.call_queue import queue_lock

    told = Api(FastAPI(), queue_lock).get_script_info()
    return [[argument.label for argument in one.args] for one in told if one.name == "detour"]


def round_trip() -> bool:
    """Whether settings survive the host's own writing and reading of parameters."""
    from modules import infotext_utils, scripts

    settings = sys.modules["detour_webui.extension.settings"]
    given = settings.read_arguments([{"strength": -0.25, "shape": "curve", "hires": "own"}])
    parameters = {"Steps": 20, "Sampler": "Euler", "Seed": 1, "Size": "8x8"}
    sys.modules["detour_webui.extension.infotext"].write(parameters, given)
    line = ", ".join(f"{k}: {infotext_utils.quote(v)}" for k, v in parameters.items())
    parsed = infotext_utils.parse_generation_parameters(f"a nurse\n{line}")
    always = scripts.scripts_txt2img.alwayson_scripts
    panel = next(script for script in always if script.title() == "Detour")
    values = [read(parsed) for _control, read in panel.infotext_fields]
    return settings.read_arguments(values) == given


def main() -> None:
    start()
    from modules import extensions, scripts

    found: dict = {"extensions": [e.name for e in extensions.extensions if not e.is_builtin]}
    found["page"] = build_page()
    reload_ui()
    found["reloaded page"] = build_page()
    found["api"] = api_arguments()
    found["infotext"] = round_trip()
    found["sampling hook"] = hasattr(scripts.Script, "process_before_every_sampling")
    ours = {"nodes", "extension", "detour", "tests", "install", "tools", "demo"}
    found["leaked"] = sorted(ours & set(sys.modules))
    print("\n" + json.dumps(found), flush=True)  # noqa: T201
    os._exit(0)  # the hosts start threads that do not end by themselves


if __name__ == "__main__":
    main()
