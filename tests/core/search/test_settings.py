"""The settings of a search: what is refused, and how what was typed is read."""

import pytest

from detour.classifier.facts import Description
from detour.probes.features import NO_CLASSES
from detour.search.settings import RemovalSearch, Search, read_removal, read_search

DESCRIPTION = Description(architecture="tiny", labels=("low", "high"))


class FewProbes:
    """What `read_search` looks at."""

    attribute_names = ("plain", "mark", "stamp")

    def __init__(self, *class_names):
        self.class_names = class_names


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"method": "magic"}, "must be one of: worst_group, evidence, paired, mistakes"),
        ({"size": "two"}, "edit is 'two'; it must be one of: auto, one_weight"),
        ({"method": "paired", "size": "k_weights_bias"}, "Use the method 'worst_group'"),
        ({"degree": float("nan")}, "degree is nan"),
        ({"degree": 4.1}, "number from -4 to 4"),
        ({"max_weights": 0}, "max_weights is 0"),
        ({"split_seed": -1}, "split_seed is -1"),
        ({"keep_right": 0.4}, "keep_right is 0.4; it must be a number from 0.5 to 1"),
        ({"keep_right": float("nan")}, "keep_right is nan"),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(more, message):
    with pytest.raises(ValueError, match=message):
        Search(**more)


def test_whole_numbers_may_come_as_floats():
    search = Search(max_weights=3.0, split_seed=7.0, degree=1)
    assert repr((search.max_weights, search.split_seed, search.degree)) == "(3, 7, 1.0)"


def test_seven_of_ten_pass_a_guard_that_a_slider_set():
    assert Search(keep_right=70 * 0.01).keep_right == 0.7 < 70 * 0.01


def test_names_and_numbers_are_read_and_empty_is_left_open():
    probes = FewProbes("low", "high")
    typed = read_search(DESCRIPTION, probes, target_class=" high", attribute="stamp", degree=0.5)
    assert typed == Search(target_class=1, attribute=2, degree=0.5)
    assert read_search(DESCRIPTION, probes, target_class=None, attribute="") == Search()
    with pytest.raises(ValueError, match="attribute is 'hat'; the probes have plain, mark, stamp"):
        read_search(DESCRIPTION, probes, attribute="hat")
    with pytest.raises(ValueError) as told:
        read_search(DESCRIPTION, FewProbes())
    assert str(told.value) == NO_CLASSES
    assert read_search(DESCRIPTION, FewProbes(), method="paired").method == "paired"


def test_a_removal_needs_its_class():
    assert read_removal(DESCRIPTION, target_class="1", degree=0) == RemovalSearch(1, degree=0.0)
    with pytest.raises(ValueError, match="No class to remove was chosen"):
        read_removal(DESCRIPTION, target_class=" ")
    with pytest.raises(ValueError, match="edit is 'k_weights_bias'"):
        RemovalSearch(1, "k_weights_bias")
