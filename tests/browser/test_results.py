"""Results are drawn on the nodes after a run, can be copied, and are there when opened again."""

from __future__ import annotations

import time

import pytest

from .test_preview import DIAL

RESULT, NOTICE = "detour_result", "detour_notice"
REPORT = "worst-group accuracy  71.2 % -> 84.0 %\ngroup low, red         88.0 %\n"


def graph(strength=1.0, **sampler):
    """The tiny model through a dial into a preview; nodes and links for `build`."""
    nodes = [
        ["model", "DetourDemoModel", 0, 0, {}],
        ["dial", DIAL, 340, 0, {"strength": strength}],
        ["latent", "EmptyChromaRadianceLatentImage", 0, 300, {"width": 16, "height": 16}],
        ["vae", "VAELoader", 0, 500, {"vae_name": "pixel_space"}],
        ["sampler", "KSampler", 720, 0, {"steps": 4, "cfg": 1.0, **sampler}],
        ["decode", "VAEDecode", 1020, 0, {}],
        ["show", "PreviewImage", 1020, 120, {}],
    ]
    links = [
        ["model", "MODEL", "dial", "model"],
        ["dial", "MODEL", "sampler", "model"],
        ["model", "positive", "sampler", "positive"],
        ["model", "negative", "sampler", "negative"],
        ["latent", "LATENT", "sampler", "latent_image"],
        ["sampler", "LATENT", "decode", "samples"],
        ["vae", "VAE", "decode", "vae"],
        ["decode", "IMAGE", "show", "images"],
    ]
    return nodes, links


@pytest.mark.each_frontend
def test_a_run_with_the_tiny_model_ends_with_its_notice(desk, run):
    # A seed of its own: pages share a server, and what it has cached is not sampled again.
    ids = desk.build(*graph(denoise=0.3, seed=time.time_ns() % 2**31))
    assert desk.words(ids["dial"]).startswith("Acts on none of the 4 steps")
    run()
    notice = desk.element(ids["dial"], NOTICE)
    desk.page.wait_for_function("(box) => box.textContent.includes('never reached')", arg=notice)
    desk.page.locator(".detour-notice").locator("visible=true").wait_for(timeout=5000)
    assert desk.run("Object.keys(app.nodeOutputs).length") >= 1


@pytest.mark.each_frontend
def test_many_runs_of_one_prompt_are_one_notice(desk):
    node = desk.build([["a", DIAL, 0, 0, {}]])["a"]
    box = desk.element(node, NOTICE)

    def ran(*texts):
        for text in texts:
            said = {"node": node, "text": text, "missed": text.startswith("This run")}
            desk.run("(said) => app.api.dispatchCustomEvent('detour.notice', said)", said)
        desk.page.wait_for_timeout(130)  # it is written after 100
        desk.settle()
        return box.text_content(), "missed" in box.get_attribute("class")

    def starts():
        desk.run("app.api.dispatchCustomEvent('execution_start', {prompt_id: 'x'})")

    starts()
    assert ran("This run: 0.7.") == ("No effect This run: 0.7.", True)
    assert ran("This run: 0.8.", "This run: 0.9.") == ("No effect in 3 runs. This run: 0.7.", True)
    good = "strength 1: bypassed 6 of 20 model calls"
    told = f"{good}No effect in 3 of 5 runs. This run: 0.7."
    assert ran(good, good) == (told, False)
    starts()
    assert ran(good) == (good, False)


def report(desk, node, charts=()):
    """What a node with a result sends, by the host's own event."""
    desk.run(
        """([id, text, charts]) => app.api.dispatchCustomEvent("executed", {
          node: id, display_node: id, prompt_id: "x",
          output: { detour_report: [text], detour_chart: charts },
        })""",
        [node, REPORT, list(charts)],
    )
    desk.settle()


@pytest.mark.each_frontend
def test_a_report_is_drawn_copied_and_kept(desk, run):
    ids = desk.build(*graph())
    plot = desk.build(
        [["plot", "DetourPlotSchedule", 1400, 0, {}], ["seen", "PreviewImage", 1400, 700, {}]],
        [["plot", "plot", "seen", "images"]],
    )
    run()
    chart = desk.run("(id) => app.nodeOutputs[id].images[0]", plot["seen"])
    report(desk, ids["dial"], [chart])
    box = desk.element(ids["dial"], RESULT)
    picture = box.query_selector("img")
    desk.page.wait_for_function("(img) => !img.hidden && img.naturalWidth === 960", arg=picture)
    assert box.query_selector("pre").text_content() == REPORT
    desk.camera(0.7)
    desk.box(box)
    desk.page.locator(".detour-result button").locator("visible=true").click(timeout=5000)
    assert desk.run("navigator.clipboard.readText()") == REPORT
    saved = desk.saved()
    dial = next(node for node in saved["nodes"] if node["type"] == DIAL)
    assert len(dial["widgets_values"]) == 9
    desk.clear()
    desk.reload(saved)
    again = desk.element(ids["dial"], RESULT)
    assert again.query_selector("pre").text_content() == REPORT
    dial["properties"][RESULT]["charts"][0]["filename"] = "gone.png"
    desk.reload(saved)
    again = desk.element(ids["dial"], RESULT)
    assert again.query_selector("pre").text_content() == REPORT
    assert not again.query_selector("img").is_visible()


@pytest.mark.each_frontend
def test_without_a_clipboard_the_text_is_selected(desk):
    node = desk.build([["a", "DetourContactSheet", 0, 0, {}]])["a"]
    report(desk, node)
    desk.run(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true })"
    )
    button = desk.page.locator(".detour-result button").locator("visible=true")
    button.click(timeout=5000)
    assert desk.run("getSelection().toString()").strip() == REPORT.strip()
    assert button.text_content() == "Selected: press Ctrl+C"
    desk.run("delete navigator.clipboard")


MALFORMED = [
    "text",
    5,
    [],
    {"text": 5},
    {"text": {"a": 1}, "charts": []},
    {"charts": [{"filename": "x.png"}]},
    {"text": REPORT, "charts": None},
    {"text": REPORT, "charts": "x"},
    {"text": REPORT, "charts": [None, 5, {}, {"filename": 3}]},
    {"text": REPORT, "charts": {"0": {"filename": "x.png"}}},
]


@pytest.mark.each_frontend
def test_a_workflow_with_a_malformed_result_opens(desk):
    """A node with each of them, since opening takes its time."""
    places = range(len(MALFORMED))
    desk.build([[str(n), DIAL, 400 * n, 0, {"strength": 0.7}] for n in places])
    saved = desk.saved()
    for node, kept in zip(saved["nodes"], MALFORMED, strict=True):
        node["properties"][RESULT] = kept
    desk.clear()
    desk.reload(saved)
    for number, kept in zip((node["id"] for node in saved["nodes"]), MALFORMED, strict=True):
        node = str(number)
        assert desk.value(node, "strength") == 0.7
        box = desk.element(node, RESULT)
        shown = REPORT if isinstance(kept, dict) and kept.get("text") == REPORT else ""
        assert box.query_selector("pre").text_content() == shown
        assert not box.query_selector("img").is_visible()
    report(desk, node)
    assert desk.element(node, RESULT).query_selector("pre").text_content() == REPORT
