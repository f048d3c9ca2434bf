"""What is typed into nodes and tabs: one reading for all hosts."""

from __future__ import annotations

import pytest

from detour.checks import first_line, read_degree, read_number, read_whole, shortened
from detour.classifier.facts import Description, read_class
from detour.probes.probe_set import read_attribute

NAMES = ("without", "with", "1")


@pytest.mark.parametrize("value", [None, "3", float("nan"), float("inf"), -0.1, 2.1])
def test_what_is_no_number_of_the_range_is_named(value):
    with pytest.raises(ValueError, match=rf"height is {value}; it must be .* from 0 to 2\."):
        read_number("height", value, 0, 2)


def test_numbers_come_back_as_they_are():
    assert read_number("height", 0.1, 0, 2) == 0.1
    assert read_whole("count", 3.0, 1, 4) == 3
    assert read_degree(-4) == -4.0
    with pytest.raises(ValueError, match=r"degree is 4\.5"):
        read_degree(4.5)


@pytest.mark.parametrize(
    ("text", "number"), [(None, 1), ("", 1), (" with ", 1), ("without", 0), ("0", 0), ("1", 2)]
)
def test_an_attribute_goes_by_its_name_then_by_its_number(text, number):
    assert read_attribute(NAMES, text) == number


@pytest.mark.parametrize("text", ["3", "-1", "²", "With"])
def test_an_unknown_attribute_is_told_which_there_are(text):
    with pytest.raises(ValueError, match=f"attribute is '{text}'; the probes have without, with"):
        read_attribute(NAMES, text)


def test_a_class_goes_by_its_label_or_number_and_may_be_left_out():
    about = Description(labels=("low", "high"))
    assert read_class(about, None) is read_class(about, " ") is None
    assert read_class(about, " high ") == read_class(about, "1") == 1


def test_signs_that_cannot_be_seen_are_written_out():
    assert shortened("a\x00b \u202ec\ud800 é\n\tz") == "a\\x00b \\u202ec\\ud800 é z"
    assert first_line(ValueError("a\x1b[2Jb\nsecond")) == "a\\x1b[2Jb"
