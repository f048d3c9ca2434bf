"""What blocks change when they are left out, and which range is guessed from that."""

import math
from contextlib import contextmanager

import pytest
import torch

from detour.ways.scan import BlockScan, leave_one_out, quietest

SIGMAS = torch.tensor([1.0, 0.5, 0.0])


class Sum:
    """Blocks that each take a share of x away; without one its share stays."""

    def __init__(self, *shares):
        self.shares = list(shares)

    def predict(self, x, sigma):
        return x - sum(self.shares) * x * sigma

    @contextmanager
    def left_out(self, block):
        own, self.shares[block] = self.shares[block], 0.0
        try:
            yield
        finally:
            self.shares[block] = own


@pytest.fixture
def x():
    return torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def test_a_change_is_the_blocks_share_of_the_direction(x):
    model = Sum(0.1, 0.3, -0.2)
    found = leave_one_out(model.predict, x, SIGMAS, 3, model.left_out)
    wanted = torch.tensor([0.1, 0.3, 0.2]) / 0.2
    torch.testing.assert_close(torch.tensor(found), wanted.expand(2, 3))


def test_the_trajectory_is_that_of_the_whole_model(x):
    model, seen = Sum(0.1, 0.3), []

    def predict(at, sigma):
        seen.append(at)
        return model.predict(at, sigma)

    leave_one_out(predict, x, SIGMAS, 2, model.left_out)
    torch.testing.assert_close(seen[3], x + 0.4 * x * (0.5 - 1.0))
    assert seen[0] is seen[2] and seen[3] is seen[5]


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_no_number_without_a_block_is_infinite(x, broken):
    model = Sum(0.1, 0.3, 0.1)

    def predict(at, sigma):
        return model.predict(at, sigma) * (broken if model.shares[1] == 0.0 else 1.0)

    found = leave_one_out(predict, x, SIGMAS, 3, model.left_out)
    assert [step[1] for step in found] == [math.inf, math.inf]
    assert all(math.isfinite(step[0]) for step in found)


@pytest.mark.parametrize("factor", [0.0, math.nan])
def test_a_model_that_says_nothing_is_refused(x, factor):
    model = Sum(factor)
    with pytest.raises(ValueError, match=r"prediction in step 1 is (0|nan) long"):
        leave_one_out(model.predict, x, SIGMAS, 1, model.left_out)


def test_early_is_the_first_half_of_all_seeds():
    one, two = ((1.0, 2.0, 3.0),) * 2, ((3.0, 2.0, 1.0),) * 2
    scan = BlockScan("NextDiT", (("layers", 3),), ((*one, *two, one[0]), (*two, *one, two[0])))
    assert scan.early == (2.0, 2.0, 2.0)
    scan = BlockScan("NextDiT", (("layers", 3),), ((one[0], two[0], two[0]),))
    assert (scan.early, scan.late) == (one[0], two[0])


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ((0.0, 0.9, 0.1, 0.1, 0.9, 0.0), (2, 3)),
        ((9, 5, 1, 1, 4, 9), (2, 3)),  # quiet in sum is not enough: no block of 5
        ((0, 4, 4, 3, 5, 0), (2, 3)),  # equal in the greatest: the quieter ones
        ((1, 1, 1), (1, 1)),
        ((1, 1, 1, 1), (1, 2)),
        ((9, 9, 9, 9, 9, 2, 2, 2, 1), (5, 7)),  # never to the end
        ((math.inf,) * 6, (1, 2)),
    ],
)
def test_the_quietest_range(changes, wanted):
    assert quietest(changes) == wanted


@pytest.mark.parametrize(
    ("count", "steps", "told"),
    [(2, 4, "NextDiT has 2 blocks, and it takes 3"), (6, 1, "steps is 1; it must be at least 2")],
)
def test_too_little_is_refused(count, steps, told):
    with pytest.raises(ValueError, match=told):
        BlockScan("NextDiT", (("layers", count),), (((0.1,) * count,) * steps,))
