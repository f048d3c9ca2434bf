"""Run in an environment with a real Gradio: the panel and the tab, each on a small page of its own,
served on loopback.

    python page_app.py THE_OTHER_SITE_PACKAGES DATA_FOLDER

The routes are in the tab's app, as in the hosts. Prints one line of JSON: the addresses, what the
panel's controls and the tab are, and what was imported. Ends when its input ends.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.append(sys.argv[1])  # behind: this environment's own packages come first
sys.path.insert(0, str(Path(__file__).resolve().parent))

import gradio as gr
from stand_in import ROOT, SHIM, make_modules, run_shim

NAME, PASSWORD = "someone", "a:secret"
HELD = "held"
"""While a file of this name is in the data folder, a search waits at its first progress."""
STYLE = (ROOT / "style.css").read_text(encoding="utf-8")
HEAVY = ("torchvision", "timm", "transformers")


class InputAccordion:
    """The hosts' accordion with a checkbox in it: what `with` gives is the checkbox."""

    def __init__(self, value, label, elem_id):
        self.accordion = gr.Accordion(label, open=True, elem_id=elem_id)
        self.value, self.elem_id = value, elem_id

    def __enter__(self):
        self.accordion.__enter__()
        return gr.Checkbox(self.value, label="Enabled", elem_id=f"{self.elem_id}-checkbox")

    def __exit__(self, *error):
        return self.accordion.__exit__(*error)


def put_modules(data: Path) -> dict[str, ModuleType]:
    """The host's modules, with its data folder and the name and password of its routes."""
    made = make_modules("a1111")
    made.pop("gradio")
    sys.modules.update(made)
    made["modules.paths"].data_path = str(data)
    made["modules.paths"].models_path = str(data / "models")
    made["modules.shared"].opts.outdir_txt2img_samples = str(data / "outputs")
    made["modules.shared"].cmd_opts.api_auth = f"{NAME}:{PASSWORD}"
    made["modules.ui_components"].InputAccordion = InputAccordion
    return made


def hold_searches(sign: Path) -> None:
    """Make searches wait, once they have shown their progress, while the file `sign` is there."""
    work = sys.modules["detour_webui.extension.work"].Work
    shared = work.shared

    def held(self, what: str) -> Any:
        progress = shared(self, what)

        def wait(share: float) -> None:
            progress(share)
            while sign.exists() and not self.is_stopped:
                time.sleep(0.02)

        return wait

    work.shared = held


def panel_page(script: Any) -> tuple[gr.Blocks, dict[str, Any]]:
    """The panel, with a button for what the host would pass on, and one that pastes a picture."""
    with gr.Blocks(css=STYLE) as page:
        controls = script.ui(False)
        seen = gr.Textbox(label="Arguments", elem_id="arguments", interactive=True)
        button = gr.Button("Show", elem_id="show")
        button.click(lambda *values: json.dumps(values), controls, seen)
        pasted = gr.Textbox(label="Infotext", elem_id="infotext")
        paste = gr.Button("Paste", elem_id="paste")

        def read(text):
            parsed = dict(pair.split("=") for pair in text.split(";") if pair)
            values = (reader(parsed) for _, reader in script.infotext_fields)
            return [gr.update() if value is None else value for value in values]

        paste.click(read, pasted, controls)
    with gr.Blocks():  # the host builds it again, for the other tab and for the API
        again = script.ui(True)
    told = [
        {"type": type(c).__name__, "label": c.label, "value": c.value, "elem_id": c.elem_id}
        for c in controls
    ]
    return page, {"controls": told, "same": [c.value for c in again] == [c.value for c in controls]}


def tab_page(callbacks: Any) -> tuple[gr.Blocks, dict[str, Any]]:
    """The tab, beside no others."""
    (build,) = callbacks.lists["ui_tabs"]
    ((blocks, title, elem_id),) = build()
    with gr.Blocks(css=STYLE) as page, gr.Tabs(), gr.TabItem(title, id=elem_id, elem_id=elem_id):
        blocks.render()
    page.queue()
    return page, {"title": title, "id": elem_id}


def launch(page: gr.Blocks) -> tuple[Any, str]:
    """The app of a page, and its address."""
    return page.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, show_api=False, quiet=True
    )[:2]


def main() -> None:
    data = Path(sys.argv[2])
    callbacks = put_modules(data)["modules.script_callbacks"]
    script = run_shim(SHIM).DetourScript()
    callbacks.fire("ui_settings")
    panel, of_panel = panel_page(script)
    tab, of_tab = tab_page(callbacks)
    hold_searches(data / HELD)
    heavy = [name for name in HEAVY if name in sys.modules]
    _, panel_url = launch(panel)
    app, tab_url = launch(tab)
    callbacks.fire("app_started", tab, app)
    told = {"panel": panel_url, "tab": tab_url, "heavy": heavy, "version": gr.__version__}
    print(json.dumps({**told, **of_panel, **of_tab}), flush=True)  # noqa: T201
    sys.stdin.read()
    tab.close()
    panel.close()


if __name__ == "__main__":
    main()
