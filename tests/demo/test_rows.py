"""Which rows the demo measures, and when it says that the goal was reached."""

from dataclasses import replace

import pytest

from demo.frontier import (
    CHOOSING_SEED,
    OPEN_WORD,
    REPORT_SEED,
    WINDOWS,
    Case,
    asked,
    choose_placebo,
    choose_window,
    prompt_for,
    reaches_goal,
    rival,
    table_cases,
)
from demo.stats import Reading

CHOSEN = Case(strength=1.0, end=0.3)
PLACEBO = replace(CHOSEN, case="placebo", strength=0.75)


class Fake:
    """Stands for the laboratory: shares and readable rates are given, nothing is drawn."""

    def __init__(self, answers):
        self.answers = answers

    def read(self, case, first_seed, count):
        assert first_seed == CHOOSING_SEED
        share, readable = self.answers(case)
        digits = [7] * round(share * 1000) + [1] * (1000 - round(share * 1000))
        sure = [place % 1000 < readable * 1000 for place in range(0, 7000, 7)]
        return Reading(digits, sure)


@pytest.mark.parametrize("extent", ["quick", "usual", "full"])
def test_no_row_stands_twice_and_both_twins_are_asked(extent):
    table = table_cases(CHOSEN, PLACEBO, extent)
    assert len(table) == len(set(table))
    for model in OPEN_WORD:
        assert {asked(Case(), model), asked(CHOSEN, model), asked(PLACEBO, model)} <= set(table)


def test_only_the_chosen_setting_is_held_against_a_placebo():
    table = table_cases(CHOSEN, PLACEBO, "usual")
    assert rival(asked(CHOSEN, "mirror"), CHOSEN, PLACEBO, table) == asked(PLACEBO, "mirror")
    assert rival(CHOSEN, CHOSEN, PLACEBO, table) == PLACEBO
    assert rival(asked(Case(), "demo"), CHOSEN, PLACEBO, table) is None
    assert rival(replace(CHOSEN, prompt="even", cfg=7.0), CHOSEN, PLACEBO, table) is None


def test_choosing_takes_the_largest_share_that_keeps_the_pictures_readable():
    def answers(case):
        if case.strength == 0:
            return 0.05, 0.95
        return case.end, 0.95 - (0.1 if case.end > 0.36 else 0.01)

    chosen = choose_window(Fake(answers), 1000)
    assert chosen.end == max(end for end in WINDOWS if end <= 0.36)


def test_the_placebo_is_as_strong_as_it_may_be():
    def answers(case):
        lost = 0.02 * case.strength if case.case == "placebo" else 0.02
        return 0.05, 0.95 - lost

    assert choose_placebo(Fake(answers), CHOSEN, 1000).strength == 1.0


def test_seeds_for_choosing_and_reporting_never_meet():
    assert REPORT_SEED - CHOOSING_SEED > 100_000


def test_the_goal_needs_effect_placebo_and_readable_pictures():
    plain = {"readable": 0.95}
    row = {"to_minority": 30, "to_majority": 5, "p": 1e-4, "readable": 0.93}
    row |= {"p_placebo": 0.01, "more_than_placebo": True}
    assert reaches_goal(row, plain)
    for change in (
        {"p": 0.02},
        {"to_minority": 4},
        {"p_placebo": 0.06},
        {"more_than_placebo": False},
        {"readable": 0.91},
    ):
        assert not reaches_goal({**row, **change}, plain)


def test_each_kind_of_row_is_the_graph_it_says():
    kinds = {
        case.case: prompt_for(asked(case, "demo"), 1, 5, 0)
        for case in (CHOSEN, PLACEBO, replace(CHOSEN, case="unprompted"))
    }
    assert kinds["bypass"]["patch"]["class_type"] == "DetourMidBlockBypass"
    assert kinds["placebo"]["patch"]["class_type"] == "DemoMidBlockNoise"
    assert "patch" not in kinds["unprompted"]
    assert kinds["unprompted"]["sampler"]["inputs"]["model"] == ["model", 0]
    assert "patch" not in prompt_for(Case(), 1, 5, 0)
