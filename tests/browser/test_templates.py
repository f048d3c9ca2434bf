"""What a newcomer does: open a template by clicking, run it, read its help, see the result."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_preview import DIAL
from .test_results import NOTICE, RESULT

DOCS = Path(__file__).parents[2] / "js" / "docs"
TEMPLATE = "Tiny model first steps"
NEUTRALIZE = "DetourNeutralize"


@pytest.mark.each_frontend
def test_a_template_is_opened_by_clicking_and_run(desk, run):
    desk.run("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    desk.page.get_by_text(TEMPLATE, exact=True).locator("visible=true").first.click()
    desk.page.wait_for_function("() => app.graph.nodes.length === 17")
    desk.page.get_by_text(TEMPLATE, exact=True).locator("visible=true").first.wait_for()
    kinds = desk.run("Object.fromEntries(app.graph.nodes.map((node) => [node.type, node.id]))")
    desk.set(str(kinds["EmptyChromaRadianceLatentImage"]), batch_size=2)
    run()
    notice = desk.element(str(kinds["DetourPromptFade"]), NOTICE)
    desk.page.wait_for_function(
        "(box) => box.textContent === 'strength 1: faded in 6 of 20 evaluations of the prompt'",
        arg=notice,
    )
    drawn = [
        output["images"][0]
        for output in desk.run("app.nodeOutputs").values()
        if output.get("images")
    ]
    assert len(drawn) == 3, "without, with, the plot"


@pytest.mark.each_frontend
def test_a_real_result_is_drawn_and_there_again_without_running(desk, run, pictures):
    nodes = [
        ["people", "DetourDemoFaces", 0, 0, {"count": 80}],
        ["load", "DetourLoadClassifier", 0, 700, {"file": "nurse_or_builder.safetensors"}],
        [
            "edit",
            NEUTRALIZE,
            560,
            0,
            {"method": "evidence", "edit": "one_weight", "max_weights": 1},
        ],
    ]
    links = [["people", "PROBES", "edit", "probes"], ["load", "CLASSIFIER", "edit", "classifier"]]
    node = desk.build(nodes, links)["edit"]
    box = desk.element(node, RESULT)
    assert "Run" in box.query_selector("pre").text_content()
    run()
    shown = "(box) => box.querySelector('img').naturalWidth === 960 && box.offsetHeight > 600"
    desk.camera(0.6)
    desk.page.wait_for_function(shown, arg=box)
    report = box.query_selector("pre").text_content()
    assert "builder, long hair" in report and "accuracy" in report
    desk.screenshot(pictures / f"{desk.name}-neutralize.png")
    saved = desk.saved()
    desk.clear()
    desk.reload(saved)
    desk.camera(0.6)
    again = desk.element(node, RESULT)
    desk.page.wait_for_function(shown, arg=again)
    assert again.query_selector("pre").text_content() == report


@pytest.mark.each_frontend
@pytest.mark.parametrize("kind", [DIAL, NEUTRALIZE])
def test_the_help_panel_shows_our_page(desk, kind):
    node = desk.build([["a", kind, 200, 60, {}]])["a"]
    desk.run("(id) => app.canvas.selectNode(app.graph.getNodeById(id))", node)
    desk.page.locator('[data-testid="info-button"]').dispatch_event("click")
    second = (DOCS / f"{kind}.md").read_text(encoding="utf-8").splitlines()[2]
    words = second.replace("**", "").replace("*", "")[:40]
    desk.page.get_by_text(words).locator("visible=true").first.wait_for(timeout=8000)
