"""The presets that the browser offers are schedules that Python accepts."""

import json
from collections import Counter
from pathlib import Path

import pytest

from detour.schedule import Schedule
from detour.ways.presets import Preset, parse_presets

FILE = Path(__file__).parents[3] / "js" / "presets.json"


def test_every_preset_is_a_schedule_that_acts():
    presets = parse_presets(FILE.read_text(encoding="utf-8"))
    assert [preset.id for preset in presets] == [
        *("gentle", "progressive", "strong", "study", "few_steps"),
        *("relief_early", "relief_half", "relief_few_steps"),
        *("fade_short", "fade_early", "fade_few_steps"),
    ]
    assert Counter(preset.way for preset in presets) == {"bypass": 5, "relief": 3, "fade": 3}
    assert not any(preset.schedule.is_off for preset in presets)
    assert [preset.id for preset in presets if preset.schedule.strength < 0] == ["study"]
    assert all(preset.description.endswith(".") for preset in presets)


def test_presets_are_told_by_what_the_browser_sets():
    """The browser writes exactly these names into a node's widgets."""
    for entry in json.loads(FILE.read_text(encoding="utf-8"))["presets"]:
        fields = "strength shape start_percent end_percent schedule_by".split()
        assert list(entry["schedule"]) == fields


GOOD = {"id": "a", "name": "A", "way": "fade", "description": "B.", "schedule": {}}


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([{**GOOD, "schedule": {"strength": 3}}], "strength is 3"),
        ([{**GOOD, "schedule": {"power": 1}}], "cannot be read"),
        ([{"id": "a"}], "cannot be read"),
        ([GOOD, GOOD], "an id of its own, but they are a, a"),
        ([{**GOOD, "name": " "}], "needs name"),
        ([{**GOOD, "way": "detour"}], "way is 'detour'"),
    ],
)
def test_wrong_presets_are_refused(entries, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_presets(json.dumps({"presets": entries}))
    good = Preset("a", "A", "fade", "B.", Schedule())
    assert parse_presets(json.dumps({"presets": [GOOD]})) == (good,)


def test_text_that_is_no_such_file_is_refused():
    for text in ("", "[]", "{}"):
        with pytest.raises(ValueError, match="cannot be read"):
            parse_presets(text)
