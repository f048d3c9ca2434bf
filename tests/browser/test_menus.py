"""Right-click: a dial is put in and wired, schedules are copied, starting points are set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_preview import DIAL, PLOT, SWEEP

NODES = {"bypass": DIAL, "relief": "DetourGuidanceRelief", "fade": "DetourPromptFade"}
CHOSEN = ("study", "few_steps", "relief_half", "fade_early")
PRESETS = Path(__file__).parents[2] / "js" / "presets.json"
ADD = "Detour: add mid-block bypass"


def entries(desk, node):
    """What our extension adds to the menu of a node, by the host's own hook."""
    return desk.run(
        """(id) => {
          const items = app.collectNodeMenuItems?.(app.graph.getNodeById(id))
            ?? app.extensionManager.extension?.extensions?.flatMap(
              (one) => one.getNodeMenuItems?.(app.graph.getNodeById(id)) ?? []);
          return items.filter((item) => item?.content?.startsWith("Detour"))
            .map((item) => item.content);
        }""",
        node,
    )


def choose(desk, node, *names):
    """Call an entry of the menu, submenus included."""
    desk.run(
        """([id, names]) => {
          const node = app.graph.getNodeById(id);
          let items = app.collectNodeMenuItems(node);
          let item;
          for (const name of names) {
            item = items.find((one) => one?.content === name);
            items = item.submenu?.options ?? [];
          }
          item.callback();
        }""",
        [node, list(names)],
    )
    desk.settle()


def links(desk):
    """All links as (from node, to node, type)."""
    return sorted(
        (link[1], link[3], link[5]) for link in json.loads(json.dumps(desk.saved()["links"]))
    )


def test_a_real_right_click_shows_it(desk):
    if desk.name == "own-nodes2":
        pytest.skip("Nodes 2.0 of frontend 1.32 shows no entries of extensions in its menu.")
    node = desk.build([["a", "DetourDemoModel", 300, 300, {}]])["a"]
    desk.page.mouse.click(*desk.title(node), button="right")
    desk.page.get_by_text(ADD).locator("visible=true").first.wait_for(timeout=5000)
    desk.page.keyboard.press("Escape")
    desk.page.mouse.click(1200, 800)


@pytest.mark.each_frontend
def test_behind_a_loader_all_its_users_get_the_dial(desk):
    nodes = [
        ["model", "DetourDemoModel", 0, 0, {}],
        ["one", "KSampler", 400, 0, {}],
        ["two", "KSampler", 400, 400, {}],
    ]
    wires = [["model", "MODEL", "one", "model"], ["model", "MODEL", "two", "model"]]
    ids = desk.build(nodes, wires)
    assert entries(desk, ids["model"]) == [ADD]
    choose(desk, ids["model"], ADD)
    dial = desk.run("app.graph.nodes.find((n) => n.type === 'DetourMidBlockBypass').id")
    model, one, two = (int(ids[key]) for key in ("model", "one", "two"))
    assert links(desk) == sorted(
        [(model, int(dial), "MODEL"), (int(dial), one, "MODEL"), (int(dial), two, "MODEL")]
    )


@pytest.mark.each_frontend
def test_before_a_sampler_and_undone_in_one_step(desk):
    nodes = [["model", "DetourDemoModel", 0, 0, {}], ["one", "KSampler", 800, 0, {}]]
    ids = desk.build(nodes, [["model", "MODEL", "one", "model"]])
    before = links(desk)
    choose(desk, ids["one"], ADD)
    dial = int(desk.run("app.graph.nodes.find((n) => n.type === 'DetourMidBlockBypass').id"))
    model, one = int(ids["model"]), int(ids["one"])
    assert links(desk) == sorted([(model, dial, "MODEL"), (dial, one, "MODEL")])
    desk.page.keyboard.press("Control+z")
    desk.page.wait_for_function("() => app.graph.nodes.length === 2", timeout=5000)
    assert [(a, b) for a, b, _ in links(desk)] == [(a, b) for a, b, _ in before]


@pytest.mark.each_frontend
def test_nodes_without_a_model_offer_nothing(desk):
    ids = desk.build([["vae", "VAEDecode", 0, 0, {}], ["dial", DIAL, 300, 0, {}]])
    assert entries(desk, ids["vae"]) == []
    assert ADD not in entries(desk, ids["dial"])


@pytest.mark.each_frontend
def test_a_schedule_is_copied_to_every_kind_of_node(desk):
    values = {"strength": 0.4, "shape": "bump", "start_percent": 0.1, "end_percent": 0.6}
    nodes = [["a", DIAL, 0, 0, values], ["b", SWEEP, 400, 0, {}], ["c", PLOT, 800, 0, {}]]
    ids = desk.build(nodes)
    choose(desk, ids["a"], "Detour: copy schedule")
    for key in ("b", "c"):
        choose(desk, ids[key], "Detour: paste schedule")
        for name in ("shape", "start_percent", "end_percent"):
            assert desk.value(ids[key], name) == values[name]
    assert desk.value(ids["c"], "strength") == 0.4
    assert desk.value(ids["b"], "strengths") == "0, 0.25, 0.5, 1"


@pytest.mark.each_frontend
@pytest.mark.parametrize(
    "preset",
    [p for p in json.loads(PRESETS.read_text())["presets"] if p["id"] in CHOSEN],
    ids=lambda p: p["id"],
)
def test_presets_set_the_widgets(desk, preset):
    kind = NODES[preset["way"]]
    node = desk.build([["a", kind, 0, 0, {"schedule_by": "step"}]])["a"]
    choose(desk, node, "Detour: starting points", preset["name"])
    chosen = {name: desk.value(node, name) for name in preset["schedule"]}
    assert chosen == preset["schedule"]
    desk.page.keyboard.press("Control+z")
    desk.page.wait_for_function(
        "app.graph.nodes[0].widgets.find((w) => w.name === 'schedule_by').value === 'step'",
        timeout=5000,
    )
