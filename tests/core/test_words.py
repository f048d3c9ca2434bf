"""Words at a field: at most two sentences everywhere, one in the web UIs' panel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detour import classifier_words as classifier
from detour.ways.presets import parse_presets
from detour.words import DIAL, DIAL_INTRO

ROOT = Path(__file__).parents[2]
END = re.compile(r"[.!?](?=\s|$)|[\u3002\uff01\uff1f]")
LANGUAGES = sorted(path.name for path in (ROOT / "locales").iterdir() if path.is_dir())
NODES_ALONE = ("model", "curve", "strengths", "blocks")
LONGEST_HINT = 150
"""Letters of a hint in the panel: two lines of a column."""


def sentences(text: str) -> int:
    """How many sentences a text has."""
    return len(END.findall(text))


def texts(words: dict[str, Any], at: str = "") -> Iterator[tuple[str, str]]:
    """Every description and tooltip of a language, with its place."""
    for name, value in words.items():
        if isinstance(value, dict):
            yield from texts(value, f"{at}{name}.")
        elif name in ("description", "tooltip"):
            yield f"{at}{name}", value


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_node_says_at_most_two_sentences_at_a_time(language):
    """In English these are the words of the schemas: tests/comfyui_http/test_locales.py."""
    file = ROOT / "locales" / language / "nodeDefs.json"
    found = dict(texts(json.loads(file.read_text(encoding="utf-8"))))
    assert len(found) > 100
    assert [place for place, text in found.items() if not 1 <= sentences(text) <= 2] == []


def test_a_hint_in_the_panel_is_one_short_sentence():
    for name, text in DIAL.items():
        if name not in NODES_ALONE:
            assert sentences(text.means) == sentences(text.see) == 1, name
            assert text.tooltip == f"{text.means} You should see: {text.see}"
            assert len(text.means) <= LONGEST_HINT, name


def test_node_and_panel_have_the_same_words():
    english = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
    inputs = english["DetourMidBlockBypass"]["inputs"]
    shared = [name for name in DIAL if name in inputs]
    assert len(shared) == 11
    assert [name for name in shared if inputs[name]["tooltip"] != DIAL[name].tooltip] == []


def test_panel_and_tab_say_at_most_two_sentences_at_a_time():
    shown = {"panel": DIAL_INTRO, "tab": classifier.TAB_INTRO, **classifier.HELP}
    presets = parse_presets((ROOT / "js" / "presets.json").read_text(encoding="utf-8"))
    shown |= {preset.name: preset.description for preset in presets}
    assert [name for name, text in shown.items() if not 1 <= sentences(text) <= 2] == []


def test_sentences_are_counted():
    assert sentences("0 = as it came, 0.5 = half, SD 1.x too. Else (Flux, Cascade ...) not!") == 2
    assert sentences("\u5206\u7c7b\u5668\u3002\u5e94\u5f53\u770b\u52300.5\u3002") == 2
