"""The points of the shape `curve`: by pointer and by keyboard, into the prompt, and undone."""

from __future__ import annotations

import pytest

from detour.schedule import Schedule, parse_points

from .test_preview import DIAL, assert_drawn


@pytest.fixture
def node(desk) -> str:
    """A dial with a drawn curve over the whole denoising."""
    values = {"shape": "curve", "end_percent": 1.0, "points": "0:1, 0.5:0.6, 1:0"}
    return desk.build([["a", DIAL, 0, 0, values]])["a"]


def handles(desk, node):
    return desk.element(node).query_selector_all(".point")


def drag(desk, start, end):
    desk.page.mouse.move(*start)
    desk.page.mouse.down()
    desk.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    desk.page.mouse.move(*end)
    desk.page.mouse.up()
    desk.settle()


@pytest.mark.each_frontend
def test_dragging_changes_the_prompt_and_is_one_step_of_undo(desk, node):
    drag(desk, desk.spot(node, 0.5, 0.6), desk.spot(node, 0.3, 0.2))
    points = parse_points(desk.queued()[node]["points"])
    assert points[0] == (0, 1) and points[2] == (1, 0)
    assert points[1] == (pytest.approx(0.3, abs=0.02), pytest.approx(0.2, abs=0.02))
    assert_drawn(desk.drawn(node)["curves"][0], Schedule(1.0, "curve", 0.0, 1.0, points=points))
    desk.page.mouse.click(900, 800)
    desk.page.keyboard.press("Control+z")
    desk.page.wait_for_function(
        "app.graph.nodes[0]?.widgets.find((w) => w.name === 'points').value === '0:1, 0.5:0.6, 1:0'"
    )


@pytest.mark.each_frontend
def test_points_stop_at_their_neighbours_and_at_the_edge(desk, node):
    drag(desk, desk.spot(node, 0.5, 0.6), desk.spot(node, 1.2, -0.5))
    assert parse_points(desk.value(node, "points")) == ((0, 1), (1, 0), (1, 0))


@pytest.mark.each_frontend
def test_a_double_click_adds_and_removes(desk, node):
    desk.page.mouse.dblclick(*desk.spot(node, 0.75, 0.8))
    desk.settle()
    points = parse_points(desk.value(node, "points"))
    assert len(points) == 4 and len(handles(desk, node)) == 4
    assert points[2] == (pytest.approx(0.75, abs=0.02), pytest.approx(0.8, abs=0.02))
    desk.page.mouse.dblclick(*desk.spot(node, *points[2]))
    desk.settle()
    assert parse_points(desk.value(node, "points")) == ((0, 1), (0.5, 0.6), (1, 0))


@pytest.mark.each_frontend
def test_the_keyboard_does_all_of_it(desk, node):
    press = desk.page.keyboard.press
    handles(desk, node)[1].focus()
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowDown", "Shift+ArrowLeft"):
        press(key)
    assert desk.value(node, "points") == "0:1, 0.41:0.49, 1:0"
    press("Enter")
    desk.settle()
    added = desk.value(node, "points")
    assert len(parse_points(added)) == 4
    focused = desk.run("document.activeElement.getAttribute('aria-label')")
    assert focused == "Point 3 of 4 of the curve"
    press("Delete")
    desk.settle()
    assert desk.value(node, "points") == "0:1, 0.41:0.49, 1:0"
    assert desk.run("app.graph.nodes.length") == 1, "Delete must not remove the node"
    for _ in range(4):
        press("Backspace")
    assert len(parse_points(desk.value(node, "points"))) == 1, "the last point stays"


@pytest.mark.each_frontend
def test_a_point_tells_its_place_to_screen_readers(desk, node):
    point = handles(desk, node)[1]
    assert point.get_attribute("role") == "slider"
    assert point.get_attribute("aria-valuetext") == "place 0.5 of the window, height 0.6"


@pytest.mark.each_frontend
def test_other_shapes_have_no_points_to_drag(desk, node):
    desk.set(node, shape="bump")
    assert handles(desk, node) == []
