"""The panel in the two Gradio generations of the hosts, driven in a real Chromium."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from gradio_app import keep_screenshot, opened
from stand_in import ARGUMENTS

from detour.ways.presets import parse_presets
from detour.words import DIAL, FADE, RELIEF

PRESETS = parse_presets(
    (Path(__file__).parents[3] / "js" / "presets.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def page(web, browser):
    """A tab of headless Chromium with the panel in it."""
    with opened(browser, web["panel"], f"#{element('strength')} input", width=1100) as tab:
        yield tab


def words(name: str):
    """What a field means: another way than the bypass has its own."""
    way, _, own = name.partition("_")
    return {"relief": RELIEF, "fade": FADE}[way][own] if way in ("relief", "fade") else DIAL[name]


def element(name: str) -> str:
    return f"script_txt2img_detour_{name}"


def arguments(page) -> dict:
    """The values that the host would pass on, by name."""
    page.fill("#arguments textarea", "")
    page.click("#show")
    page.wait_for_function("document.querySelector('#arguments textarea').value.startsWith('[')")
    return dict(zip(ARGUMENTS, json.loads(page.input_value("#arguments textarea")), strict=True))


def picture(page) -> str:
    return page.get_attribute(f"#{element('schedule')} img", "src")


def wait_for_another_picture(page, before: str) -> None:
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector)?.src != before",
        arg=[
            f"#{element('schedule')} img",
            page.evaluate("src => new URL(src, location).href", before),
        ],
    )


def slide(page, name: str, value: str) -> None:
    box = page.locator(f"#{element(name)} input[type=number]")
    box.fill(value)
    box.press("Tab")


def test_controls_have_frozen_ids_and_the_hosts_exact_types(web):
    controls = web["controls"]
    ids = [control["elem_id"] for control in controls]
    assert ids[1:] == [element(name) for name in ARGUMENTS[1:]]
    assert ids[0] == element("enabled") + "-checkbox"
    kinds = {control["type"] for control in controls}
    assert kinds == {"Checkbox", "Slider", "Dropdown", "Textbox"}
    assert len({control["label"] for control in controls}) == len(controls)
    assert all(control["value"] is not None for control in controls)
    assert web["same"]


def test_a_field_has_one_sentence_and_the_closed_help_has_the_rest(page):
    for name in ARGUMENTS[1:]:
        assert words(name).means in page.text_content(f"#{element(name)}")
    help_text = page.locator(f"#{element('help')} li").first
    assert not help_text.is_visible()
    page.click(f"#{element('help')} >> text=What you should see")
    help_text.wait_for(state="visible")
    told = page.locator(f"#{element('help')} li").all_inner_texts()
    assert len(told) == len(ARGUMENTS[1:]) + len(PRESETS)
    assert all(any(words(name).see[1:] in line for line in told) for name in ARGUMENTS[1:])
    assert not [line for line in told if re.search(r"\bnodes?\b", line)]
    page.click(f"#{element('help')} >> text=What you should see")


def test_three_sliders_are_seen_and_each_fold_has_the_rest_of_its_own(web, page):
    def seen():
        return [n for n in ARGUMENTS[1:] if page.locator(f"#{element(n)}").is_visible()]

    always, ways = ["strength", "start_percent", "end_percent"], ("relief", "fade")
    folds = {way: [n for n in ARGUMENTS if n.startswith(f"{way}_")] for way in ways}
    more = [n for n in ARGUMENTS[1:] if n not in [*always, *folds["relief"], *folds["fade"]]]
    titles = {"more": "More", "relief": "Guidance Relief", "fade": "Prompt Fade"}
    for fold, rest in {"more": more, **folds}.items():
        assert seen() == always
        page.click(f"#{element(fold)} >> text={titles[fold]}")
        page.locator(f"#{element(rest[-1])}").wait_for(state="visible")
        assert seen() == [n for n in ARGUMENTS if n in [*always, *rest]]
        keep_screenshot(page, f"panel-{web['version']}-{fold}", f"#{element('enabled')}")
        page.click(f"#{element(fold)} >> text={titles[fold]}")
        page.locator(f"#{element(rest[-1])}").wait_for(state="hidden")


def test_a_slider_reaches_the_arguments_and_redraws_the_picture(web, page):
    before = picture(page)
    slide(page, "strength", "0.4")
    wait_for_another_picture(page, before)
    assert arguments(page)["strength"] == 0.4
    keep_screenshot(page, f"panel-{web['version']}")


def test_a_window_that_cannot_be_is_said_in_place_of_a_picture(page):
    drawn = f"#{element('schedule')} img"
    page.wait_for_selector(drawn)
    slide(page, "start_percent", "0.9")
    page.wait_for_selector(f"#{element('message')} >> text=must be smaller than end_percent")
    page.wait_for_selector(drawn, state="detached", timeout=5000)
    slide(page, "start_percent", "0")
    page.wait_for_function(
        "s => !document.querySelector(s) || !document.querySelector(s).innerText.trim()",
        arg=f"#{element('message')}",
    )
    page.wait_for_selector(drawn)


def test_a_starting_point_sets_the_schedule(web, page):
    before = picture(page)
    page.click(f"#{element('starting_point')} input")
    page.locator("ul.options li", has_text="Progressive").click()
    wait_for_another_picture(page, before)
    found = arguments(page)
    assert (found["strength"], found["shape"], found["end_percent"]) == (1, "ramp_down", 0.5)
    keep_screenshot(page, f"panel-{web['version']}-progressive")


def test_a_pasted_picture_sets_all_controls_and_one_without_detour_switches_off(page):
    page.fill(
        "#infotext textarea",
        "Detour strength=-0.25;Detour shape=bump;Detour start percent=0.1;Detour end percent=0.6;"
        "Detour schedule by=step;Detour hires=own;Detour hires strength=0.5;"
        "Detour skip compute=False;Detour relief strength=-0.5;Detour relief end percent=0.4;"
        "Detour fade strength=0.25;Detour fade toward=noise;Detour fade seed=18446744073709551615",
    )
    page.click("#paste")
    slider = f"#{element('strength')} input[type=number]"
    page.wait_for_function("s => document.querySelector(s).value == -0.25", arg=slider)
    found = arguments(page)
    assert found == {
        "enabled": True,
        "strength": -0.25,
        "shape": "bump",
        "start_percent": 0.1,
        "end_percent": 0.6,
        "apply_to": "both",
        "schedule_by": "step",
        "skip_compute": False,
        "points": "0:1, 0.5:0.6, 1:0",
        "hires": "own",
        "hires_strength": 0.5,
        "refiner": "both",
        "relief_strength": -0.5,
        "relief_start_percent": 0.0,
        "relief_end_percent": 0.4,
        "fade_strength": 0.25,
        "fade_start_percent": 0.0,
        "fade_end_percent": 0.3,
        "fade_toward": "noise",
        "fade_seed": "18446744073709551615",
        "blocks": "auto",
    }
    page.fill("#infotext textarea", "Steps=20")
    page.click("#paste")
    page.wait_for_function(
        "s => !document.querySelector(s).checked",
        arg=f"#{element('enabled')}-checkbox input[type=checkbox]",
    )
    assert arguments(page)["strength"] == -0.25
