"""The fade of a prompt: exact ends, the literal formulas between, and noise that comes again."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from detour.schedule import Schedule
from detour.ways.fade import Fade, draw, toward_negative, toward_noise


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


C, N = randn(1, 6, 8, seed=1) * 3 + 0.5, randn(1, 6, 8, seed=2)


# --- settings --------------------------------------------------------------------------------


def test_settings_that_can_be_used():
    assert Fade() == Fade(Schedule(), "negative", 0)
    assert Fade(seed=2**64 - 1).seed == 2**64 - 1


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"toward": "nothing"}, "toward is 'nothing'.*negative, noise"),
        ({"seed": -1}, "seed is -1.*from 0 to 18446744073709551615"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"seed": math.nan}, "seed is nan"),
        ({"seed": True}, "seed is True"),
        ({"schedule": Schedule(-0.5)}, "go down to -0.5: its strength"),
        ({"schedule": Schedule(1.0, "curve", points=((0, 1), (1, -0.5)))}, "go down to -0.5"),
    ],
)
def test_settings_that_cannot_be_used_are_named(bad, named):
    with pytest.raises(ValueError, match=named):
        Fade(**bad)


# --- towards the negative prompt -------------------------------------------------------------


def test_ends_and_middle_of_the_way_to_the_negative_prompt():
    assert torch.equal(toward_negative(C, N, 0.0), C)
    assert torch.equal(toward_negative(C, N, 1.0), N)
    assert torch.equal(toward_negative(C, N, 0.3), torch.lerp(C, N, 0.3))
    assert torch.equal(toward_negative(C[:, 0], N[:, 0], 0.3), torch.lerp(C[:, 0], N[:, 0], 0.3))


@pytest.mark.parametrize("infinite", [False, True])
def test_rows_go_their_own_way(infinite):
    """Also where an embedding is infinite: a lerp alone would give 0 * inf, which is no number."""
    c = C.index_fill(1, torch.tensor(0), math.inf) if infinite else C
    found = toward_negative(c, N, torch.tensor([0.0, 1.0, 0.25]))
    assert torch.equal(found[:2], torch.cat([c, N]))
    assert torch.equal(found[2:, 1:], torch.lerp(c, N, 0.25)[:, 1:])


def test_repeated_tokens_are_the_same_attention():
    """77 and 154 tokens: half-way between two texts that a U-Net attends to as they are."""
    c, n, query = randn(1, 77, 8, seed=1), randn(1, 154, 8, seed=2), randn(1, 5, 8, seed=3)
    found = toward_negative(c, n, 0.5, repeats=True)
    assert torch.equal(found, torch.lerp(c.repeat(1, 2, 1), n, 0.5))
    once, twice = (
        scaled_dot_product_attention(query, text, text) for text in (c, c.repeat(1, 2, 1))
    )
    torch.testing.assert_close(once, twice)


@pytest.mark.parametrize(
    ("mine", "other", "repeats"), [(6, 4, False), (4, 6, False), (31, 37, True)]
)
def test_without_repeats_the_prompt_keeps_its_tokens(mine, other, repeats):
    """Where text and picture share one attention, and where the common length is very long."""
    c, n = randn(1, mine, 8, seed=1), randn(1, other, 8, seed=2)
    other_tokens = torch.stack([n[:, place % other] for place in range(mine)], dim=1)
    found = toward_negative(c, n, 0.5, repeats=repeats)
    assert torch.equal(found, torch.lerp(c, other_tokens, 0.5))


def test_another_width_is_refused():
    with pytest.raises(ValueError, match=r"\(1, 6, 8\).*\(1, 6, 4\): make both with the same text"):
        toward_negative(C, N[..., :4], 0.5)


# --- towards noise ---------------------------------------------------------------------------


def literal(row, z, lam):
    """CADS with gamma = 1 - lam, s = std(c), psi = 1."""
    y = math.sqrt(1 - lam) * row + row.std(correction=0) * math.sqrt(lam) * z
    return row.mean() + row.std(correction=0) * (y - y.mean()) / y.std(correction=0)


@pytest.mark.parametrize("lam", [0.25, 0.7, 1.0])
def test_noise_by_its_formula_and_with_the_prompts_mean_and_spread(lam):
    (z,) = draw(7, range(3), C.shape[1:])
    found = toward_noise(C, z, lam)
    for row, noise in zip(found, z, strict=True):
        torch.testing.assert_close(row, literal(C[0], noise, lam))
        torch.testing.assert_close(row.mean(), C.mean())
        torch.testing.assert_close(row.std(), C.std())
    of_rows = toward_noise(C, z, torch.tensor([0.0, lam, 1.0]))
    assert torch.equal(of_rows[0], C[0])
    torch.testing.assert_close(of_rows[2], literal(C[0], z[2], 1.0))


def test_what_no_encoder_wrote_stays_zero():
    """A row that was zeroed out, and the part of it that a missing encoder would have written."""
    padded = torch.cat([C, torch.zeros(1, 2, 8)], dim=1)
    (z,) = draw(7, [0], padded.shape[1:])
    found = toward_noise(padded, z, 1.0)
    assert not found[:, 6:].any()
    torch.testing.assert_close(found[:, :6], toward_noise(C, z[:, :6], 1.0))
    assert not toward_noise(torch.zeros_like(C), z[:, :6], 0.5).any()


def test_half_precision_stays_half():
    (z,) = draw(7, [0], C.shape[1:])
    found = toward_noise(C.half(), z, 0.5)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), toward_noise(C, z, 0.5), atol=0.02, rtol=0.01)


def test_noise_comes_again_with_its_seed_and_its_row():
    """The first picture's is the same in any batch; other rows, parts and seeds have others."""
    tokens, pooled = draw(2**64 - 1, range(4), (6, 8), (8,))
    again, _ = draw(2**64 - 1, [2, 0], (6, 8), (8,))
    assert torch.equal(again, tokens[[2, 0]])
    assert pooled.shape == (4, 8)
    assert not torch.equal(tokens[0], tokens[1])
    assert not torch.equal(draw(1, [0], (6, 8))[0], draw(2, [0], (6, 8))[0])
