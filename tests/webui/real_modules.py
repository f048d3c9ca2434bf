"""Run beside a real host's checkout: its own loader, callbacks, panel parts and parser.

    python real_modules.py CHECKOUT THE_OTHER_SITE_PACKAGES DATA_FOLDER

DATA_FOLDER is an empty folder; this repository is linked into its `extensions`. Prints one
line of JSON with what was found. No model is loaded and nothing is sampled.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CHECKOUT, PACKAGES, DATA = (Path(argument).resolve() for argument in sys.argv[1:4])
sys.path.append(str(PACKAGES))
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(ROOT))
from absent import allow_absent  # noqa: E402
from webui_models import k_diffusion  # noqa: E402

sys.path.remove(str(ROOT))
for name in [name for name in sys.modules if name.split(".")[0] == "detour"]:
    del sys.modules[name]

CPU = ["--skip-torch-cuda-test", "--use-cpu", "all", "--no-half", "--ui-debug-mode"]
ALWAYS = ["--always-cpu"] if (CHECKOUT / "modules_forge").is_dir() else []


def start() -> None:
    """The host's own start, as far as scripts need it."""
    extensions = DATA / "extensions"
    extensions.mkdir(parents=True)
    (extensions / "detour").symlink_to(ROOT, target_is_directory=True)
    sys.argv = ["webui.py", "--data-dir", str(DATA), *CPU, *ALWAYS]
    sys.path.insert(0, str(CHECKOUT))
    os.chdir(CHECKOUT)
    allow_absent()
    if (CHECKOUT / "ldm_patched").is_dir():
        from ldm_patched.modules.args_parser import args

        args.always_cpu = True


def main() -> None:
    start()
    places = [CHECKOUT / place / "k_diffusion" for place in (".", "k_diff", "ldm_patched")]
    k_diffusion(next((place for place in places if place.is_dir()), None))
    from modules import shared_init

    shared_init.initialize()
    import gradio
    from modules import extensions, script_callbacks, scripts

    found: dict = {"gradio": gradio.__version__}
    extensions.list_extensions()
    for extension in list(extensions.extensions):
        extension.enabled = extension.name == "detour"
    found["extension"] = [e.name for e in extensions.extensions if e.enabled]
    for load in (1, 2):  # the second is "Reload UI"
        if load == 2:
            script_callbacks.script_unloaded_callback()
            script_callbacks.clear_callbacks()
        scripts.load_scripts()
        ours = [d for d in scripts.scripts_data if d.script_class.__name__ == "DetourScript"]
        callbacks = script_callbacks.callback_map["callbacks_cfg_denoiser"]
        of_ours = [c for c in callbacks if c.callback.__qualname__ == "Sessions.on_denoiser"]
        found[f"load {load}"] = [len(ours), len(of_ours)]
    tabs = script_callbacks.ui_tabs_callback()  # builds the tab with the host's own modules
    found["tabs"] = [[title, elem_id] for _, title, elem_id in tabs if title == "Detour"]
    script_callbacks.before_ui_callback()
    found["axes"] = sum(
        axis.label.startswith("[Detour]")
        for data in scripts.scripts_data
        for axis in getattr(data.module, "axis_options", [])
        if data.script_class.__module__ == "xyz_grid.py"
    )
    # The host's own are plain records, but their file imports all that samples.
    models = ModuleType("modules.api.models")
    models.ScriptArg = models.ScriptInfo = models.ItemScript = SimpleNamespace
    sys.modules["modules.api.models"] = models
    importlib.import_module("modules.api").models = models
    runner = scripts.scripts_txt2img
    runner.prepare_ui()
    with gradio.Blocks():
        runner.initialize_scripts(is_img2img=False)
        script = next(s for s in runner.alwayson_scripts if s.title() == "Detour")
        runner.alwayson_scripts = [script]
        runner.setup_ui()
        info = script.api_info
        found["api name"] = script.name
        found["arguments"] = [argument.label for argument in info.args]
        found["ids"] = [control.elem_id for control in script.controls] if script.controls else []
    found["infotext"] = round_trip()
    found["sampling hook"] = hasattr(scripts.Script, "process_before_every_sampling")
    ours = {"nodes", "extension", "detour", "tests", "install", "tools", "demo"}
    found["leaked"] = sorted(ours & set(sys.modules))
    print("\n" + json.dumps(found))  # noqa: T201


def round_trip() -> bool | str:
    """Whether settings survive the host's own writing and reading of parameters."""
    try:
        from modules import infotext_utils
    except (ImportError, ValueError, AttributeError, LookupError) as error:
        return f"its parser cannot be imported without all of the host: {error}"
    extension = sys.modules["detour_webui.extension.infotext"]
    settings = sys.modules["detour_webui.extension.settings"]
    given = settings.read_arguments([{"strength": -0.25, "shape": "curve", "hires": "own"}])
    parameters = {"Steps": 20, "Sampler": "Euler", "Seed": 1, "Size": "8x8"}
    extension.write(parameters, given)
    line = ", ".join(f"{k}: {infotext_utils.quote(v)}" for k, v in parameters.items())
    parsed = infotext_utils.parse_generation_parameters(f"a nurse\n{line}")
    read = {name: extension.reader(name)(parsed) for name in settings.NAMES}
    return settings.Settings(**read) == given


if __name__ == "__main__":
    main()
