"""The demo's statistics against values worked out by hand."""

from math import comb

import pytest
import torch

from demo.faces import FIELDS, PLACE
from demo.parts import LONG
from demo.reader import CLEAN, Reading
from demo.stats import counted, mcnemar, moved, rare_trait


def test_mcnemar_is_the_two_sided_binomial_test():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(9, 0) == pytest.approx(2 / 2**9)
    assert mcnemar(0, 9) == mcnemar(9, 0)
    assert mcnemar(5, 5) == 1.0
    literal = 2 * sum(comb(12, k) for k in range(3)) / 2**12
    assert mcnemar(10, 2) == pytest.approx(literal)


def hair(long, clean):
    """People with long or short hair, in clean pictures or others."""
    people = torch.zeros(len(long), len(FIELDS), dtype=torch.long)
    people[:, PLACE["hair"]] = torch.where(torch.tensor(long), 0, len(LONG))
    return Reading(people, torch.where(torch.tensor(clean), 0.0, 2 * CLEAN))


def test_what_is_rare_in_the_one_is_usual_in_its_twin():
    people = hair([True, False], [True, True]).people
    for prompt, name, twins in (
        ("nurse", "short hair", "long hair"),
        ("builder", "long hair", "short hair"),
        ("", "dark skin", "light skin"),
    ):
        trait, other = rare_trait("demo", prompt), rare_trait("mirror", prompt)
        assert (trait.name, other.name) == (name, twins)
        assert trait.share == pytest.approx(0.1) and other.share == pytest.approx(0.1)
        assert torch.equal(trait.shows(people), ~other.shows(people))
    assert rare_trait("demo", "nurse").shows(people).tolist() == [False, True]


def test_only_pictures_clean_in_both_count_as_moved():
    trait = rare_trait("demo", "nurse")
    before = hair([True, True, False, True, True], [True, True, True, False, True])
    after = hair([False, True, True, False, False], [True, True, True, True, False])
    assert moved(before, after, trait) == (1, 1)


def test_shares_are_among_clean_pictures():
    reading = hair([False, False, True, True], [True, False, True, True])
    assert counted(reading, rare_trait("demo", "nurse")) == (1, 3)
