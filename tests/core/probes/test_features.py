"""Bad probes get a sentence; memory-mapped features work like tensors."""

import numpy as np
import pytest
import torch

from detour.probes.features import Probes
from detour.search.ladder import build_ladder
from detour.search.one_weight import bias_only, worst_group
from detour.search.pair import weight_and_bias
from detour.search.settings import Search

F = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
W, B = torch.ones(2, 3), torch.zeros(2)
Y, A = [0, 0, 1, 1, 0, 1], [0, 1, 0, 1, 0, 1]
NAN = torch.tensor(float("nan"))


def with_nan(tensor):
    tensor = tensor.clone()
    tensor.view(-1)[-1] = NAN
    return tensor


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": with_nan(F)}, "Feature 2 of probe 5 is nan"),
        ({"features": F[0]}, "pictures, features"),
        ({"features": F[:0]}, "at least one"),
        ({"features": F.long()}, "floating-point"),
        ({"features": [[1.0]]}, "list"),
        ({"weight": torch.ones(2, 4)}, "same backbone"),
        ({"weight": with_nan(W)}, "NaN"),
        ({"bias": torch.zeros(3)}, "one number per class"),
        ({"weight": None}, "bias but no weight"),
        ({"weight": None, "bias": None}, "head .* or the logits"),
        ({"weight": None, "bias": None, "logits": torch.zeros(5, 2)}, r"\[6, classes\]"),
        ({"weight": None, "bias": None, "logits": with_nan(torch.zeros(6, 2))}, "NaN"),
        ({"weight": W[:1], "bias": B[:1]}, "Set the threshold"),
        ({"classes": Y[:5]}, "one per picture"),
        ({"classes": [0, 0, 2, 1, 0, 1]}, "classes holds 2"),
        ({"classes": [0.0] * 6}, "whole numbers"),
        ({"attributes": [-1] * 6}, "start at 0"),
        ({"attributes": [[0] * 6]}, "one per picture"),
        ({"units": ["a"]}, "one each"),
        ({"split": [3] * 6}, "split holds 3"),
        ({"threshold": 1.0, "tag": 0}, "between 0 and 1"),
        ({"threshold": 0.5}, "tag is None"),
        ({"threshold": 0.5, "tag": 2}, "0 to 1"),
        ({"tag": 0}, "without a threshold"),
        ({"train_counts": [1, 2]}, "4 counts"),
        ({"train_counts": [1, 2, -1, 4]}, "none negative"),
    ],
)
def test_bad_probes_are_refused(arguments, message):
    good = {"features": F, "attributes": A, "classes": Y, "weight": W, "bias": B}
    Probes(**good)
    with pytest.raises(ValueError, match=message):
        Probes(**{**good, **arguments})


SEARCHES = worst_group, bias_only, weight_and_bias, lambda probes: build_ladder(probes, Search())


@pytest.mark.parametrize("search", SEARCHES)
def test_one_class_or_one_attribute_only(search):
    with pytest.raises(ValueError, match="only class 1"):
        search(Probes(F, A, [1] * 6, W, B))
    with pytest.raises(ValueError, match="only hat"):
        search(Probes(F, [0] * 6, Y, W, B, attribute_names=["hat"]))
    with pytest.raises(ValueError, match="carry no classes"):
        search(Probes(F, A, None, W, B))
    with pytest.raises(ValueError, match="0 to 1"):
        worst_group(Probes(F, A, Y, W, B), target_class=2)


def test_an_empty_group_is_named():
    probes = Probes(F, [0, 0, 0, 1, 0, 1], Y, W, B, class_names=["cat", "dog"])
    assert probes.empty_groups() == [
        "The group (cat, attribute 1) has no probes; it is left out of worst-group and mean "
        "accuracy."
    ]
    assert any("cat, attribute 1" in note for note in build_ladder(probes, Search()).notes)


def test_memory_mapped_features_work_like_tensors(headed, tmp_path):
    probes = headed(0, n=200)
    path = tmp_path / "features.npy"
    np.save(path, probes.features.numpy())
    mapped = Probes(np.load(path, mmap_mode="r"), probes.a, probes.y, probes.weight, probes.bias)
    assert torch.equal(mapped.z, probes.z)
    assert worst_group(mapped) == worst_group(probes)
    assert weight_and_bias(mapped) == weight_and_bias(probes)


def test_one_picture_one_feature():
    probes = Probes(torch.ones(1, 1), [0], [0], torch.ones(2, 1))
    assert len(probes) == 1 and probes.n_groups == 4
    with pytest.raises(ValueError, match="only class 0"):
        worst_group(probes)
