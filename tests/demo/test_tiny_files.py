"""The tiny model's files: what they hold, what they say of themselves, how large they are."""

import json

import pytest
import torch
from safetensors import safe_open

from demo.faces import JOBS, VARIANTS
from demo.parts import SHEET
from demo.tiny import load_tiny, weights_file
from demo.train_classifiers import FILES, FOLDER
from demo.words import VOCABULARY, word_index

MIB = 1024 * 1024


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_say_what_they_are(variant):
    with safe_open(weights_file(variant), "pt") as file:
        metadata = file.metadata()
    assert {"architecture", "data", "training", "licence", "vocabulary"} <= set(metadata)
    assert tuple(json.loads(metadata["vocabulary"])) == VOCABULARY
    tiny = load_tiny(variant)
    assert tiny.words.shape[0] == len(VOCABULARY)
    assert all(torch.isfinite(value).all() for value in tiny.network.values())
    middle = "layers.7." if tiny.is_transformer else "middle_block."
    assert any(name.startswith(middle) for name in tiny.network)
    assert tiny.is_transformer == variant.startswith("transformer")


def test_all_files_together_stay_small():
    files = [SHEET, *map(weights_file, VARIANTS), *(FOLDER / name for name in FILES.values())]
    assert sum(path.stat().st_size for path in files) <= 14 * MIB
    transformers = [weights_file(name) for name in VARIANTS if name.startswith("transformer")]
    assert sum(path.stat().st_size for path in transformers) <= 6 * MIB


def test_prompts_are_forgiving_and_unknown_ones_named():
    assert VOCABULARY == ("", *JOBS) and VOCABULARY[word_index(" Nurse ")] == "nurse"
    assert word_index("") == 0
    with pytest.raises(ValueError, match=r"'seven'.*gardener, firefighter"):
        word_index("seven")
