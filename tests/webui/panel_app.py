"""Run in an environment with a real Gradio: the panel in a small page, served on loopback.

    python panel_app.py THE_OTHER_SITE_PACKAGES

Prints one line of JSON: the address, and what the controls are. Ends when its input ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.append(sys.argv[1])  # behind: this environment's own packages come first
sys.path.insert(0, str(Path(__file__).resolve().parent))

import gradio as gr
from stand_in import make_modules, run_shim

SHIM = Path(__file__).resolve().parents[2] / "scripts" / "detour.py"


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


def main() -> None:
    made = make_modules("a1111")
    made.pop("gradio")
    sys.modules.update(made)
    made["modules.ui_components"].InputAccordion = InputAccordion
    script = run_shim(SHIM).DetourScript()
    with gr.Blocks() as demo:
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
    _app, url, _share = demo.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, show_api=False, quiet=True
    )
    told = [
        {"type": type(c).__name__, "label": c.label, "value": c.value, "elem_id": c.elem_id}
        for c in controls
    ]
    same = [c.value for c in again] == [c.value for c in controls]
    print(  # noqa: T201
        json.dumps({"url": url, "controls": told, "same": same, "version": gr.__version__}),
        flush=True,
    )
    sys.stdin.read()
    demo.close()


if __name__ == "__main__":
    main()
