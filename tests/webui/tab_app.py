"""Run in an environment with a real Gradio: the tab in a small page, served on loopback.

    python tab_app.py THE_OTHER_SITE_PACKAGES DATA_FOLDER

The routes are in the page's app, as in the hosts. Prints one line of JSON: the address, what
the tab is, and what was imported. Ends when its input ends.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.append(sys.argv[1])  # behind: this environment's own packages come first
sys.path.insert(0, str(Path(__file__).resolve().parent))

import gradio as gr
from stand_in import ROOT, SHIM, make_modules, run_shim

NAME, PASSWORD = "someone", "a:secret"
SLOW = "slow"
"""While a file of this name is in the data folder, each report of progress takes its time."""
HEAVY = ("torchvision", "timm", "transformers")


def slow_down(sign: Path) -> None:
    """Make all work slow for as long as the file `sign` is there."""
    work = sys.modules["detour_webui.extension.work"].Work
    check = work.check

    def slow(self) -> None:
        if sign.exists():
            time.sleep(0.1)
        check(self)

    work.check = slow


def main() -> None:
    data = Path(sys.argv[2])
    made = make_modules("a1111")
    made.pop("gradio")
    sys.modules.update(made)
    made["modules.paths"].data_path = str(data)
    made["modules.paths"].models_path = str(data / "models")
    made["modules.shared"].opts.outdir_txt2img_samples = str(data / "outputs")
    made["modules.shared"].cmd_opts.api_auth = f"{NAME}:{PASSWORD}"
    callbacks = made["modules.script_callbacks"]
    run_shim(SHIM)
    callbacks.fire("ui_settings")
    (build,) = callbacks.lists["ui_tabs"]
    ((blocks, title, elem_id),) = build()
    slow_down(data / SLOW)
    heavy = [name for name in HEAVY if name in sys.modules]
    css = (ROOT / "style.css").read_text(encoding="utf-8")
    with gr.Blocks(css=css) as demo, gr.Tabs(), gr.TabItem(title, id=elem_id, elem_id=elem_id):
        blocks.render()
    demo.queue()
    app, url, _share = demo.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, show_api=False, quiet=True
    )
    callbacks.fire("app_started", demo, app)
    told = {"url": url, "title": title, "id": elem_id, "heavy": heavy, "version": gr.__version__}
    print(json.dumps(told), flush=True)  # noqa: T201
    sys.stdin.read()
    demo.close()


if __name__ == "__main__":
    main()
