"""The stand-ins of a transformer's blocks in a host that does what the real ones do only rarely."""

import pytest
import torch
from torch import nn

from detour.schedule import Schedule
from detour.ways.bypass import Call, Dial, bypassed


class Block(nn.Module):
    """One that gives a new tensor, as those of Lumina 2 do."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, x, x_mask, freqs_cis, adaln_input=None):
        return 2 * x + self.place


class NextDiT(nn.Module):
    """Keeps what goes into its blocks for patches, and writes into what comes out of each."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(place) for place in range(4))

    def forward(self, x):
        given = x
        for layer in self.layers:
            x = layer(x, None, None)
            x += 1.0
        return x, given


@pytest.fixture
def x():
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))


def at(*lams, blocks=(0, 1)):
    """A call with this bypass of all rows, or with one for each."""
    return Call(Dial(Schedule(), blocks=blocks), (0.0,) * len(lams), lams)


@pytest.mark.parametrize("lam", [-0.5, 0.5, 1.0])
def test_what_came_in_is_not_written_into(x, lam):
    model, kept = NextDiT(), x.clone()
    inside = 2 * (2 * x + 0 + 1.0) + 1
    wanted = torch.lerp(inside, x, lam) + 1.0
    for place in (2, 3):
        wanted = 2 * wanted + place + 1.0
    with bypassed(model, at(lam)):
        found, given = model(x)
    assert torch.equal(found, wanted)
    assert given is x and torch.equal(x, kept)


def test_rows_of_zero_and_one_are_exact(x):
    model = NextDiT()
    with bypassed(model, at(0.0, 1.0, blocks=(1, 2))):
        found, _ = model(x.clone())
    plain, _ = model(x.clone())
    assert torch.equal(found[0], plain[0])
    before = 2 * x + 0 + 1.0
    assert torch.equal(found[1], (2 * (before + 1.0) + 3 + 1.0)[1])
