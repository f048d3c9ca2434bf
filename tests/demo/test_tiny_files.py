"""The tiny model's files: what they hold, what they say of themselves, how large they are."""

import json

import pytest
import torch
from demo.digits import MINORITY, colour, draw, load_digits, training_share
from safetensors import safe_open

from demo.reader import WEIGHTS, load_reader, read
from demo.tiny import VARIANTS, load_tiny, weights_file
from demo.words import VOCABULARY, word_index

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def test_the_digits_are_ten_thousand_real_ones(digits):
    assert digits.pixels.shape == (10000, 16, 16)
    assert digits.labels.bincount().min() > 800
    assert 0 <= digits.pixels.min() and digits.pixels.max() == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_pictures_carry_both_biases(digits, variant):
    pictures, labels = draw(digits, variant, 4000, torch.Generator().manual_seed(0))
    rare = torch.isin(labels, torch.tensor(MINORITY[variant]))
    green = pictures[:, 1].sum((1, 2)) > pictures[:, 0].sum((1, 2))
    assert rare.float().mean().item() == pytest.approx(0.10, abs=0.02)
    assert (green == (labels >= 5)).float().mean().item() == pytest.approx(0.90, abs=0.02)


def test_the_share_in_training_follows_from_the_prompt():
    assert training_share("demo") == pytest.approx(0.10)
    assert training_share("mirror") == pytest.approx(0.10)
    assert training_share("demo", "even") == pytest.approx(0.04 / (0.54 + 0.04))
    assert training_share("mirror", "even") == pytest.approx(0.06 / (0.36 + 0.06))


def test_the_reader_is_colour_blind_and_reads_well(digits):
    reader = load_reader()
    some = digits.subset(torch.randperm(10000, generator=torch.Generator().manual_seed(1))[:1000])
    red, green = (colour(some.pixels, torch.full((1000,), side)) for side in (False, True))
    digit, sure = read(reader, red)
    assert torch.equal(digit, read(reader, green)[0])
    assert (digit == some.labels).float().mean() > 0.97
    assert sure.float().mean() > 0.9
    with safe_open(WEIGHTS, "pt") as file:
        assert float(file.metadata()["held_out_accuracy"]) > 0.97


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_say_what_they_are(variant):
    with safe_open(weights_file(variant), "pt") as file:
        metadata = file.metadata()
    assert {"architecture", "data", "steps", "licence", "vocabulary"} <= set(metadata)
    assert tuple(json.loads(metadata["vocabulary"])) == VOCABULARY
    tiny = load_tiny(variant)
    assert tiny.words.shape[0] == len(VOCABULARY)
    assert all(torch.isfinite(value).all() for value in tiny.unet.values())
    assert any(name.startswith("middle_block.") for name in tiny.unet)


def test_all_files_together_stay_small():
    files = [weights_file(variant) for variant in VARIANTS] + [WEIGHTS]
    files.append(WEIGHTS.with_name("digits.png"))
    assert sum(path.stat().st_size for path in files) <= 6 * MIB


def test_prompts_are_forgiving_and_unknown_ones_named():
    assert VOCABULARY[word_index(" Seven ")] == "seven"
    assert word_index("") == 0
    with pytest.raises(ValueError, match=r"'nurse'.*even, odd"):
        word_index("nurse")
