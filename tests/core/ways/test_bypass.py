"""The stand-in block: exact limits, order of writes, and nothing left behind."""

import pytest
import torch
from torch import nn

from detour.schedule import rows_for, uniform
from detour.ways.bypass import BypassedMidBlock, blend, bypassed
from detour.ways.targets import find_mid_block


class Block(nn.Sequential):
    """A mid-block that can be called, and counts how often its layers run."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(4, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 4, 1))
        self.runs = 0
        self.label = "mine"
        for layer in self:
            layer.register_forward_hook(self._count)

    def _count(self, *_):
        self.runs += 1

    def forward(self, h, emb=None):
        for layer in self:
            h = layer(h)
        return h


class CallingUNet(nn.Module):
    """Calls its mid-block, as ldm and diffusers do, and then writes into it, as ControlNet does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inlet = nn.Conv2d(4, 4, 1)
        self.middle_block = Block()

    def middle(self, h):
        return self.middle_block(h, None)

    def forward(self, x, control=0.0):
        h = self.inlet(x)
        skip = h
        h = self.middle(h)
        h += control
        return torch.cat([h, skip], dim=1)


class LoopingUNet(CallingUNet):
    """Loops over the layers of its mid-block, as ComfyUI does; never calls the container."""

    def middle(self, h):
        for layer in self.middle_block:
            h = layer(h)
        return h


@pytest.fixture(params=[CallingUNet, LoopingUNet])
def unet(request):
    return request.param()


@pytest.fixture
def x():
    return torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(1))


def literal(unet, x, lam, control=0.0):
    """The definition, written out: out = (1 - lam) M(h) + lam h by lerp, then control."""
    h = unet.inlet(x)
    out = h
    for layer in unet.middle_block:
        out = layer(out)
    mixed = torch.stack([torch.lerp(o, i, w) for o, i, w in zip(out, h, lam, strict=True)])
    return torch.cat([mixed + control, h], dim=1)


@pytest.mark.parametrize("lam", [-1.0, -0.3, 0.25, 0.5, 0.999, 1.0])
def test_every_lam_equals_the_literal_formula(unet, x, lam):
    expected = literal(unet, x, [lam] * 3, control=0.7)
    with bypassed(unet, lam):
        found = unet(x, control=0.7)
    assert torch.equal(found, expected)


def test_lam_zero_puts_nothing_in_place(unet, x):
    plain, block = unet(x), unet.middle_block
    with bypassed(unet, 0.0):
        assert unet.middle_block is block
        assert torch.equal(unet(x), plain)


def test_lam_one_runs_no_layer_and_keeps_the_skip_connection(unet, x):
    h = unet.inlet(x)
    with bypassed(unet, 1.0):
        found = unet(x, control=5.0)
    assert unet.middle_block.runs == 0
    assert torch.equal(found, torch.cat([h + 5.0, h], dim=1))


def test_lam_one_without_skipping_runs_the_layers_and_gives_the_same(unet, x):
    with bypassed(unet, 1.0):
        skipped = unet(x, control=5.0)
    with bypassed(unet, 1.0, skip_compute=False):
        computed = unet(x, control=5.0)
    assert unet.middle_block.runs == 3
    assert torch.equal(computed, skipped)


def test_rows_have_their_own_lam_and_rows_with_zero_or_one_are_exact(unet, x):
    with torch.no_grad():
        unet.middle_block[2].weight[0] = float("inf")  # 0 * inf would make rows broken
    plain = unet(x)
    with bypassed(unet, (0.0, 1.0, 0.5)):
        found = unet(x)
    assert torch.equal(found[0], plain[0]) or torch.equal(
        found[0].nan_to_num(), plain[0].nan_to_num()
    )
    assert torch.equal(found[1, :4], unet.inlet(x)[1])
    assert torch.isfinite(found[1]).all()


def test_rows_equal_single_runs(unet, x):
    lams = (0.0, 0.4, -0.5)
    with bypassed(unet, lams):
        together = unet(x)
    for row, lam in enumerate(lams):
        with bypassed(unet, lam):
            assert torch.equal(unet(x)[row], together[row])


def test_names_keys_and_attributes_stay(unet, x):
    keys, names = list(unet.state_dict()), [name for name, _ in unet.named_modules()]
    with bypassed(unet, 0.5):
        assert list(unet.state_dict()) == keys
        assert [name for name, _ in unet.named_modules()] == names
        assert unet.middle_block.label == "mine"
        assert len(unet.middle_block) == 3
        assert unet.middle_block[0] is dict(unet.named_modules())["middle_block.0"]


def test_the_block_comes_back_after_any_error(unet, x):
    plain, block = unet(x), unet.middle_block
    for error in (RuntimeError, torch.OutOfMemoryError, KeyboardInterrupt):

        def fail(*_, error=error):
            raise error("in the middle")

        handle = block[1].register_forward_pre_hook(fail)
        with pytest.raises(error), bypassed(unet, 0.5):
            unet(x)
        handle.remove()
        assert unet.middle_block is block
        assert torch.equal(unet(x), plain)


def test_two_bypasses_stack(unet, x):
    with bypassed(unet, 0.5), bypassed(unet, 0.5):
        stacked = unet(x)
    with bypassed(unet, 0.75):
        single = unet(x)
    assert torch.allclose(stacked, single, atol=1e-6)
    with bypassed(unet, 1.0), bypassed(unet, 0.5):
        assert torch.equal(unet(x)[:, :4], unet.inlet(x))


def test_placeholders_stand_for_skipped_layers_only():
    block, seen = Block(), []

    def placeholder(layer):
        seen.append(layer)
        return nn.Identity() if isinstance(layer, nn.SiLU) else None

    assert len(list(BypassedMidBlock(block, 1.0, True, placeholder))) == 2
    assert seen == list(block)
    assert len(list(BypassedMidBlock(block, 0.5, True, placeholder))) == 5


def test_half_precision_keeps_its_type():
    for dtype in (torch.float16, torch.bfloat16):
        out, h = torch.randn(2, 3, 2, 2).to(dtype), torch.randn(2, 3, 2, 2).to(dtype)
        assert blend(out, h, 0.5).dtype == dtype
        assert torch.equal(blend(out, h, torch.tensor([0.0, 1.0])), torch.stack([out[0], h[1]]))


def test_what_cannot_be_blended_is_refused():
    with pytest.raises(ValueError, match="keeps the shape"):
        blend(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 4, 4), 0.5)
    with pytest.raises(ValueError, match="2 rows, the mid-block's input 3"):
        blend(torch.zeros(3, 4, 2, 2), torch.zeros(3, 4, 2, 2), torch.tensor([0.5, 0.2]))


def test_models_without_a_mid_block_are_refused_by_name():
    class Flux(nn.Module):
        middle_block = None

    with pytest.raises(ValueError) as caught:
        find_mid_block(Flux())
    assert str(caught.value).startswith(
        "This model has no mid-block. Works with SD 1.x, SD 2.x, SDXL, SVD."
    )
    assert "Flux" in str(caught.value)


def test_rows_of_one_half_of_guidance():
    lams, cond = [0.5, 0.5, 0.5, 0.5], [False, False, True, True]
    assert rows_for(lams, cond, "both") == lams
    assert rows_for(lams, cond, "cond") == [0.0, 0.0, 0.5, 0.5]
    assert rows_for(lams, cond, "uncond") == [0.5, 0.5, 0.0, 0.0]
    neither = [True, None, False, None]
    assert rows_for(lams, neither, "cond") == [0.5, 0.0, 0.0, 0.0]
    assert rows_for(lams, neither, "uncond") == [0.0, 0.0, 0.5, 0.0]
    assert uniform([0.5, 0.5]) == 0.5
    assert uniform([0.5, 0.0]) == (0.5, 0.0)
