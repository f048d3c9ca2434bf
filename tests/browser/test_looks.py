"""Our widgets in every renderer and theme: readable for all (axe-core), and pictures to look at."""

from __future__ import annotations

from .test_preview import DIAL, PLOT, SWEEP
from .test_results import report

RULES = ["cat.aria", "cat.color", "cat.keyboard", "cat.name-role-value", "cat.text-alternatives"]
NOTICE = "strength 1: the window was never reached; use schedule_by = step"
CURVE = {"shape": "curve", "end_percent": 0.8, "points": "0:1, 0.3:0.4, 0.6:0.75, 1:0"}
NODES = [
    ["dial", DIAL, 0, 0, {}],
    ["sampler", "KSampler", 340, 0, {}],
    ["curve", DIAL, 660, 0, CURVE],
    ["sweep", SWEEP, 1000, 0, {"shape": "ramp_down", "strengths": "-0.4, 0.25, 0.5, 1"}],
    ["plot", PLOT, 0, 520, {"shape": "cosine", "strength": -0.5, "end_percent": 0.6}],
    ["wrong", PLOT, 340, 520, {"start_percent": 0.8}],
    ["result", "DetourContactSheet", 660, 520, {}],
]


def test_every_widget_is_readable(desk, pictures):
    """Both themes with each frontend, and with each renderer."""
    theme = "dark" if desk.name in ("own-canvas", "newest-nodes2") else "light"
    desk.run("(id) => app.extensionManager.setting.set('Comfy.ColorPalette', id)", theme)
    ids = desk.build(NODES, [["dial", "MODEL", "sampler", "model"]])
    report(desk, ids["result"])
    for key, missed in (("dial", True), ("curve", False)):
        said = {"node": ids[key], "text": NOTICE, "missed": missed}
        desk.run("(said) => app.api.dispatchCustomEvent('detour.notice', said)", said)
    desk.camera(0.75, (110, 200))
    both = "() => document.querySelectorAll('.detour-notice:not([hidden])').length === 2"
    desk.page.wait_for_function(both)
    desk.settle()
    desk.screenshot(pictures / f"{desk.name}-{theme}.png")
    desk.camera(1.0)
    found = axe(desk, [".detour-preview", ".detour-result", ".detour-notice"])
    told = [(one["id"], one["nodes"][0]["html"], one["help"]) for one in found]
    assert told == []


def axe(desk, selectors):
    """What axe-core finds wrong inside the elements; each of the selectors must find some."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    assert all(desk.page.query_selector(selector) for selector in selectors)
    context = {"include": [[selector] for selector in selectors]}
    return Axe().run(desk.page, context=context, options=options).response["violations"]
