"""Progress by sigma and by step."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detour.progress import SigmaTable, StepTable, continuous_sigma, stable_diffusion_sigmas


def test_progress_by_sigma_follows_the_golden_table(golden):
    sigmas = stable_diffusion_sigmas()
    known = golden["sd_sigmas"]
    assert (sigmas[0], sigmas[500], sigmas[-1]) == pytest.approx(tuple(known.values()))
    table = SigmaTable(sigmas)
    for sigma, expected in golden["by_sigma"]:
        assert table.progress(sigma) == pytest.approx(expected, abs=1e-9), sigma


def test_progress_by_step_follows_the_golden_table(golden):
    table = StepTable(tuple(golden["run"]))
    for sigma, expected in golden["by_step"]:
        assert table.progress(sigma) == pytest.approx(expected, abs=1e-9), sigma


@given(st.floats(0, 1))
def test_sigma_and_progress_are_inverse(progress):
    table = SigmaTable(stable_diffusion_sigmas())
    assert table.progress(table.sigma(progress)) == pytest.approx(progress, abs=1e-9)


@given(st.floats(1e-4, 100), st.floats(1e-4, 100))
def test_less_noise_is_more_progress(one, other):
    low, high = sorted((one, other))
    for table in (
        SigmaTable(stable_diffusion_sigmas()),
        StepTable((14.6, 8.0, 2.0, 0.4, 0.0)),
    ):
        assert table.progress(low) >= table.progress(high)


def test_every_step_of_a_run_has_its_own_place():
    sigmas = (14.6, 8.0, 2.0, 0.4, 0.0)
    table = StepTable(sigmas)
    assert [table.progress(sigma) for sigma in sigmas] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_sigma_that_is_rounded_is_still_its_step():
    table = StepTable((14.6, 8.0, 2.0, 0.4, 0.0))
    assert table.progress(2.0000005) == table.progress(1.9999995) == 0.5
    assert table.progress(2.001) < 0.5 < table.progress(1.999)


def test_a_run_that_adds_noise_goes_forward_too():
    table = StepTable((0.0, 0.4, 2.0, 8.0, 14.6))
    assert [table.progress(s) for s in table.sigmas] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_sigma_that_comes_again_is_its_own_step():
    """As in restart sampling; the steps in the order in which a sampler tells them."""
    table = StepTable((8.0, 2.0, 8.0, 2.0, 0.0))
    assert table.comes_again and not StepTable((8.0, 2.0, 2.0, 0.0)).comes_again
    told = (None, 0, 1, 2)
    found = [table.progress_after(*call) for call in zip(told, table.sigmas[:-1], strict=True)]
    assert found == [0.0, 0.25, 0.5, 0.75]
    between = [table.progress_after(step, 4.0) for step in (None, 0, 1, 2)]
    assert between == pytest.approx([0.125, 0.125, 0.375, 0.625])
    assert table.progress_after(2, 1.0) == pytest.approx(0.875)
    assert table.progress_after(1, 11.0) == 0.5, "noise that a step adds before it begins"


@pytest.mark.parametrize("sigmas", [(), (1.0,), (2.0, 1.0), (0.0, 1.0), (1.0, 1.0)])
def test_unusable_model_tables_are_refused(sigmas):
    with pytest.raises(ValueError, match="sigma table cannot be used"):
        SigmaTable(sigmas)


@pytest.mark.parametrize("sigmas", [(), (1.0,), (1.0, math.nan), (1.0, -1.0)])
def test_unusable_runs_are_refused(sigmas):
    with pytest.raises(ValueError, match="schedule_by = sigma"):
        StepTable(sigmas)


def test_a_table_with_equal_neighbours():
    """As Stable Cascade's, whose ends are cut."""
    table = SigmaTable((1.0, 1.0, 2.0, 2.0, 8.0, 8.0))
    found = [table.progress(sigma) for sigma in (0.5, 1.0, 2.0, 4.0, 8.0, 9.0)]
    assert found == pytest.approx([1.0, 1.0, 0.4, 1 - (3 + 0.5) / 5, 0.0, 0.0])


def test_the_alphas_of_training_are_a_table():
    alphas = torch.tensor([1.0, 0.8, 0.5, 0.0])
    small, large = 1e-6, 1e6  # a picture that is whole or gone is taken as nearly so
    expected = (small, 0.5, 1.0, large)
    assert SigmaTable.of_alphas(alphas).sigmas == pytest.approx(expected, rel=1e-4)


def test_tables_of_tensors_and_of_a_range():
    assert SigmaTable.of(torch.tensor([[0.5, 1.0, 2.0]])).sigmas == (0.5, 1.0, 2.0)
    assert StepTable.of(torch.tensor([2.0, 1.0, 0.0])).sigmas == (2.0, 1.0, 0.0)
    assert SigmaTable.of_stable_diffusion().sigmas == stable_diffusion_sigmas()
    between = SigmaTable.between(0.002, 80.0).sigmas
    assert (len(between), between[0], between[-1]) == (1000, 0.002, pytest.approx(80.0))
    assert between[333] == pytest.approx(0.002 * 40000 ** (1 / 3))


def test_timesteps_are_places_of_the_table():
    table = SigmaTable((0.5, 1.0, 4.0))
    assert [table.at_timestep(time) for time in (0, 1, 2)] == pytest.approx([0.5, 1.0, 4.0])
    assert table.at_timestep(1.5) == pytest.approx(2.0)
    assert continuous_sigma(math.log(9.0) / 4) == pytest.approx(9.0)
