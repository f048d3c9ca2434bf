"""Label Pictures: pictures of a run get their labels by keys and clicks, in every renderer."""

from __future__ import annotations

import pytest

from .test_looks import axe

LABEL, WIDGET = "DetourLabelPictures", "detour_labels"
COUNT = 40
AGAIN = """(node) => {
  const { api } = app;
  if (window.labelled) {
    api.dispatchCustomEvent("executed", { node, display_node: node, output: window.labelled });
    return true;
  }
  api.addEventListener("executed", ({ detail }) => {
    if (String(detail.node) === node) window.labelled ??= detail.output;
  });
  return false;
}"""
"""Show once more what the first run on this page showed; whether there was one."""


@pytest.fixture
def node(desk, run) -> str:
    """A node that has shown 40 pictures of a run, sorted by a classifier."""
    nodes = [
        ["people", "DetourDemoFaces", 0, 0, {"count": COUNT, "faces_seed": 7}],
        ["load", "DetourLoadClassifier", 0, 600, {"file": "nurse_or_builder.safetensors"}],
        ["label", LABEL, 540, 0, {}],
    ]
    links = [
        ["people", "IMAGE", "label", "images"],
        ["load", "CLASSIFIER", "label", "classifier"],
    ]
    made = desk.build(nodes, links)["label"]
    if not desk.run(AGAIN, made):
        run()
    desk.page.wait_for_function(
        "(count) => document.querySelectorAll('.detour-labels [role=option]').length === count",
        arg=COUNT,
    )
    desk.camera(0.8, (-300, 60))
    desk.settle()
    return made


def marked(desk, node):
    """How many pictures have which label, by the node's text."""
    parts = filter(None, desk.value(node, "marks").split("; "))
    return {part.split(":")[0]: part.count("#") for part in parts}


def tags(desk):
    return desk.page.locator(".detour-labels [role=option] b:not([hidden])").count()


def test_forty_keys_label_forty_pictures_and_the_run_takes_them(desk, node, run, pictures):
    desk.page.locator(".detour-labels .grid").locator("visible=true").focus()
    desk.page.keyboard.type("1222222222" * (COUNT // 10))
    assert marked(desk, node) == {"right": 4, "wrong": 36}
    desk.settle()
    assert tags(desk) == COUNT
    desk.screenshot(pictures / f"{desk.name}-labels.png")
    assert axe(desk, [".detour-labels"]) == []
    run()
    told = desk.element(node, "detour_result").query_selector("pre")
    text = "(box) => box.textContent.startsWith('40 pictures: 4 right, 36 wrong.')"
    desk.page.wait_for_function(text, arg=told)
    saved = desk.saved()
    desk.clear()
    desk.reload(saved)
    desk.page.wait_for_function("document.querySelectorAll('.detour-labels b').length === 40")
    assert desk.value(node, "marks").count("#") == COUNT


def test_a_click_labels_and_is_one_step_of_undo_with_the_keyboard_where_it_was(desk, node):
    shown = desk.page.locator(".detour-labels [role=option]").locator("visible=true")
    shown.nth(2).click()
    shown.nth(0).click()
    assert marked(desk, node) == {"wrong": 2}
    shown.nth(2).click()
    assert marked(desk, node) == {"wrong": 1}, "a second click takes it away"
    desk.page.keyboard.press("1")
    assert marked(desk, node) == {"right": 1, "wrong": 1}
    desk.settle()
    desk.page.keyboard.press("Control+z")
    desk.page.keyboard.press("2")  # at once: the node that undo makes anew is not seen yet
    value = "app.graph.nodes.find((n) => n.comfyClass === 'DetourLabelPictures')?.widgets[1].value"
    desk.page.wait_for_function(f"() => /^wrong: #[^#]+#[^#]+$/.test({value})")
    desk.page.wait_for_function("() => document.activeElement?.matches('.detour-labels .grid')")
    desk.settle()
    assert tags(desk) == 2, "what is seen is the node after the undo"
    assert ": wrong" in shown.nth(3).get_attribute("aria-label"), "where the 1 was taken back"
    desk.page.keyboard.press("1")
    assert marked(desk, node) == {"right": 1, "wrong": 2}
    assert desk.run("app.graph.nodes.length") == 3


@pytest.mark.each_frontend
def test_numbers_become_clicks_and_what_is_not_here_is_said_and_kept(desk, node):
    desk.set(node, marks="right: 1-3; wrong: #0123456789; maybe: 4")
    desk.page.get_by_text("1 click on others label nothing now").locator("visible=true").wait_for()
    assert tags(desk) == 3
    desk.page.locator(".detour-labels .grid").locator("visible=true").focus()
    shown = desk.page.locator(".detour-labels [role=option]").locator("visible=true")
    was_right = ": right" in shown.nth(COUNT - 1).get_attribute("aria-label")  # 1, 2 or 3 is last
    desk.page.keyboard.press("End")
    desk.page.keyboard.press("2")
    value = desk.value(node, "marks")
    assert value.startswith("maybe: 4; right: #") and "#0123456789" in value
    assert marked(desk, node) == {"maybe": 0, "right": 3 - was_right, "wrong": 2}
