"""Numbers and texts in descriptions that are out of all proportion: a short sentence for each."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from detour.classifier.facts import make_preprocessing, metadata_facts, parse_json, read_facts
from detour.classifier.processors import processor_steps

LONGEST = 600


def refused(act: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        act()
    assert len(str(caught.value)) <= LONGEST


def test_integers_of_very_many_digits() -> None:
    assert parse_json(f'{{"seed": 1{"0" * 5000}}}', "a.json") == {"seed": math.inf}
    assert parse_json('{"seed": 18446744073709551615}', "a.json") == {"seed": 2**64 - 1}
    facts = metadata_facts({"hash": "1" * 5000, "labels": '["cat", "dog"]'})
    assert facts.labels == ("cat", "dog")


NAN = float("nan")


@pytest.mark.parametrize(
    "values",
    [
        {"pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 5e-324}},
        {"pretrained_cfg": {"crop_mode": "border", "mean": [NAN] * 3}},
        {"pretrained_cfg": {"crop_mode": "border", "mean": [1e308] * 3}},
        {"pretrained_cfg": {"input_size": [3, 10**99, 10**99]}},
        {"pretrained_cfg": {"interpolation": "x" * 10**6}},
        {"input_size": [3, 224, 224], "crop_pct": 5e-324},
        {"input_size": 10**99, "crop_pct": 0.9},
        {"input_size": math.inf, "crop_pct": 0.9},
        {"resize": math.inf},
        {"preprocessing": {"resize_longest": []}},
        {"preprocessing": {"resize_longest": False}},
    ],
)
def test_numbers_out_of_all_proportion(values: dict) -> None:
    refused(lambda: make_preprocessing(read_facts(values).preprocessing), ".")


@pytest.mark.parametrize("suffix", ["", "Fast"])
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 5e-324}),
        ("PoolFormer", {"crop_pct": "x" * 10**6}),
        ("Perceiver", {"crop_size": 0}),
        ("ViT", {"size": 0}),
        ("ViT", {"size": -1}),
        ("CLIP", {"size": {"shortest_edge": True}}),
        ("CLIP", {"resample": "x" * 10**6}),
        ("CLIP", {"image_mean": [NAN] * 3}),
        ("CLIP", {"rescale_factor": "x" * 10**6}),
    ],
)
def test_processors_out_of_all_proportion(kind: str, values: dict, suffix: str) -> None:
    file = {"image_processor_type": f"{kind}ImageProcessor{suffix}", **values}
    refused(lambda: make_preprocessing(processor_steps(file)[0]), ".")
