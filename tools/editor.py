"""ComfyUI's real editor in a headless Chromium: for the tests of the page, for saving the example
workflows and for their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .downloads import HOW_TO_INSTALL, chosen_host, chromium, host_folder
from .failure import Failure
from .server import ComfyServer

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SIZE = {"width": 1500, "height": 950}
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.VueNodes.AutoScaleLayout": False,
    "Comfy.VueNodes.Enabled": False,
    "Comfy.Minimap.Visible": False,
    "Comfy.RightSidePanel.IsOpen": False,
}
READY = (
    "() => window.app?.graph && window.app.extensionManager?.command && "
    "window.LiteGraph?.registered_node_types?.DetourMidBlockBypass"
)


def local_host() -> Path:
    """The ComfyUI that `COMFYUI_PATH` names, else the fetched one; a Failure if there is none."""
    host = chosen_host() or host_folder()
    if not host.is_dir():
        raise Failure(
            "There is no ComfyUI here yet; set COMFYUI_PATH to one, or let "
            "`python dev.py demo --quick` fetch it."
        )
    return host


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless Chromium, driven by Playwright; a Failure where there is none."""
    from playwright.sync_api import sync_playwright

    program = chromium()
    if program is None:
        raise Failure(HOW_TO_INSTALL)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


@contextmanager
def open_editor(server: ComfyServer, size: Mapping[str, int] = SIZE) -> Iterator[Editor]:
    """The editor of a running server, its graph drawn on the canvas."""
    server.post_json("/settings", SETTINGS)
    with open_browser() as browser:
        editor = Editor(browser.new_context(viewport=size, locale="en-US").new_page(), server)
        editor.open()
        yield editor


class Editor:
    """One open page of a running server."""

    def __init__(self, page: Any, server: ComfyServer) -> None:
        self.page = page
        self.server = server

    def open(self) -> None:
        """Load the page and close what newcomers are shown."""
        self.page.goto(self.server.url)
        self.page.wait_for_function(READY, timeout=60_000)
        self.page.wait_for_timeout(300)
        self.page.keyboard.press("Escape")

    def run(self, script: str, argument: Any = None) -> Any:
        """Evaluate JavaScript in the page."""
        return self.page.evaluate(script, argument)

    def settle(self) -> None:
        """Wait until what was changed is drawn, at the rate of a user who is at work."""
        self.run(
            "() => new Promise((done) => { window.dispatchEvent(new PointerEvent('pointermove')); "
            "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))); })"
        )

    def camera(self, scale: float = 1.0, offset: Sequence[float] = (140, 110)) -> None:
        """Look at a part of the graph."""
        self.run(
            "([scale, offset]) => { app.canvas.ds.scale = scale; app.canvas.ds.offset = offset; "
            "app.canvas.setDirty(true, true); }",
            [scale, list(offset)],
        )

    def load(self, workflow: Mapping[str, Any]) -> None:
        """Open a workflow in a tab of its own."""
        self.run("(workflow) => app.loadGraphData(workflow)", workflow)
        self.settle()

    def exported(self) -> dict[str, Any]:
        """`workflow`, as the menu exports it, and `output`, the prompt that would be queued."""
        return self.run("async () => JSON.parse(JSON.stringify(await app.graphToPrompt()))")

    def queue(self) -> None:
        """Queue the graph and wait for its end."""
        self.run(
            """() => new Promise((done, fail) => {
              const { api } = app;
              api.addEventListener("execution_success", () => done(), { once: true });
              api.addEventListener("execution_error", (e) => fail(e.detail.exception_message));
              app.queuePrompt(0);
            })"""
        )
        self.settle()
