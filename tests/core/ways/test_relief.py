"""The relief of guidance: its formula, and what it counts."""

import pytest
import torch

from detour.schedule import Schedule
from detour.ways.relief import Relief, ReliefCoverage, relieved, relieved_rows


@pytest.mark.parametrize("scale", [7.1, 3.5, 0.3, -2.0])
def test_the_scale_goes_from_its_own_to_1_exactly(scale):
    assert relieved(scale, 0.0) == scale, "1 + (7.1 - 1) is not 7.1"
    assert relieved(scale, 1.0) == 1.0
    assert relieved(scale, 0.25) == 1 + (scale - 1) * 0.75
    assert relieved(scale, -0.5) == 1 + (scale - 1) * 1.5, "more guidance"


def test_rows_of_embedded_guidance_have_a_lam_each_or_one_for_all():
    guidance = torch.tensor([0.1, 3.3, 7.7])
    got = relieved_rows(guidance, [0.0, 1.0, 0.25])
    assert torch.equal(
        got, torch.stack([guidance[0], torch.tensor(1.0), 1 + (guidance[2] - 1) * 0.75])
    )
    assert torch.equal(relieved_rows(guidance, [0.4]), 1 + (guidance - 1) * (1 - 0.4))
    assert guidance.tolist() == torch.tensor([0.1, 3.3, 7.7]).tolist(), (
        "the given one is not changed"
    )


def coverage(**counts):
    return ReliefCoverage(Relief(Schedule(1.0, "constant", 0.0, 0.5)), **counts)


def test_what_a_run_is_said_to_have_done():
    done = coverage(calls=4, reached=2, relieved=2, rows=12, saved=4)
    assert done.summary() == (
        "strength 1: relieved guidance in 2 of 4 evaluations; 4 of 16 rows saved"
    )
    embedded = coverage(calls=4, reached=2, unguided=2, embedded=2, rows=8)
    assert embedded.summary() == "strength 1: relieved embedded guidance in 2 model calls"
    past = coverage(rows=8)
    assert (
        past.missed()
        == past.summary()
        == ("Nothing was relieved: this sampler calls the model past its guider.")
    )
    assert coverage().missed() is None, "nothing ran"
