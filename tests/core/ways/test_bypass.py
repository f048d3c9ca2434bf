"""The stand-in block: exact limits, order of writes, and nothing left behind."""

import pytest
import torch
from torch import nn

from detour.schedule import Schedule
from detour.ways.bypass import BypassedMidBlock, Call, Dial, blend, bypassed
from detour.ways.targets import find_mid_block, mid_attention_is_read


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


def at(*lams, skip_compute=True):
    """A call with this bypass of all rows, or with one for each."""
    return Call(Dial(Schedule(), skip_compute=skip_compute), (0.0,) * len(lams), lams)


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
    with bypassed(unet, at(lam)):
        found = unet(x, control=0.7)
    assert torch.equal(found, expected)


def test_lam_zero_puts_nothing_in_place(unet, x):
    plain, block = unet(x), unet.middle_block
    with bypassed(unet, at(0.0)):
        assert unet.middle_block is block
        assert torch.equal(unet(x), plain)


def test_lam_one_runs_no_layer_and_keeps_the_skip_connection(unet, x):
    h = unet.inlet(x)
    with bypassed(unet, at(1.0)):
        found = unet(x, control=5.0)
    assert unet.middle_block.runs == 0
    assert torch.equal(found, torch.cat([h + 5.0, h], dim=1))


@pytest.mark.parametrize("bias", [0.0, float("inf")])
def test_lam_one_without_skipping_runs_the_layers_and_gives_the_same(unet, x, bias):
    """Also where the mid-block is infinite, as half precision may be."""
    with torch.no_grad():
        unet.middle_block[2].bias[0] += bias
    with bypassed(unet, at(1.0)):
        skipped = unet(x, control=5.0)
    with bypassed(unet, at(1.0, skip_compute=False)):
        computed = unet(x, control=5.0)
    assert unet.middle_block.runs == 3
    assert torch.equal(computed, skipped)


def test_rows_of_zero_and_one_are_exact(unet, x):
    """As the plain and the wholly bypassed call, also where the mid-block is infinite: a lerp
    alone would give 0 * inf there, which is no number."""
    with torch.no_grad():
        unet.middle_block[2].bias[0] = float("inf")
    plain = unet(x)
    with bypassed(unet, at(0.0, 1.0, 0.5)):
        found = unet(x)
    assert torch.isinf(plain[0]).any()
    assert torch.equal(found[0], plain[0])
    assert torch.equal(found[1, :4], unet.inlet(x)[1])


def test_rows_equal_single_runs(unet, x):
    lams = (0.0, 0.4, -0.5)
    with bypassed(unet, at(*lams)):
        together = unet(x)
    for row, lam in enumerate(lams):
        with bypassed(unet, at(lam)):
            assert torch.equal(unet(x)[row], together[row])


def test_names_keys_and_attributes_stay(unet, x):
    keys, names = list(unet.state_dict()), [name for name, _ in unet.named_modules()]
    with bypassed(unet, at(0.5)):
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
        with pytest.raises(error), bypassed(unet, at(0.5)):
            unet(x)
        handle.remove()
        assert unet.middle_block is block
        assert torch.equal(unet(x), plain)


def test_two_bypasses_stack(unet, x):
    with bypassed(unet, at(0.5)), bypassed(unet, at(0.5)):
        stacked = unet(x)
    with bypassed(unet, at(0.75)):
        single = unet(x)
    assert torch.allclose(stacked, single, atol=1e-6)
    with bypassed(unet, at(1.0)), bypassed(unet, at(0.5)):
        assert torch.equal(unet(x)[:, :4], unet.inlet(x))


class SpatialTransformer(nn.Identity):
    """By this name the looping hosts' layers are known that are counted."""


class OfVideo(SpatialTransformer):
    """A kind of its own, which is counted too."""


@pytest.mark.parametrize("kind", [SpatialTransformer, OfVideo])
def test_a_skipped_transformer_is_still_counted(kind, x):
    block = nn.Sequential(nn.SiLU(), kind(), nn.SiLU())
    counted, copied = BypassedMidBlock(block, 1.0)
    assert isinstance(counted, SpatialTransformer) and not isinstance(counted, OfVideo)
    assert counted is not block[1] and counted(x, None) is x
    assert torch.equal(copied(x), x) and copied(x) is not x
    assert len(list(BypassedMidBlock(block, 0.5))) == 5


def test_a_block_that_cannot_be_looped_over_has_no_layers():
    assert list(BypassedMidBlock(nn.Identity(), 0.5)) == []


def test_what_is_read_runs_also_at_lam_one(unet, x):
    with bypassed(unet, at(1.0)):
        skipped = unet(x)
    with bypassed(unet, at(1.0), is_read=True):
        assert torch.equal(unet(x), skipped)
    assert unet.middle_block.runs == 3


def test_the_frames_of_a_row_share_its_bypass(unet, x):
    frames = torch.cat([x[:1], x[:1], x[1:2], x[1:2]])
    plain = unet(frames)
    with bypassed(unet, at(0.0, 1.0), each=2):
        found = unet(frames)
    assert torch.equal(found[:2], plain[:2])
    assert torch.equal(found[2:, :4], unet.inlet(frames)[2:])


def test_the_mid_block_is_found_where_a_host_hides_it(x):
    unet = CallingUNet()
    compiled = nn.Module()
    compiled._orig_mod = unet
    assert find_mid_block(compiled) == (unet, "middle_block")
    with bypassed(compiled, at(1.0)):
        assert isinstance(unet.middle_block, BypassedMidBlock)
    assert isinstance(unet.middle_block, Block)
    paired = nn.Module()
    paired.mid_block = nn.Module()
    assert find_mid_block(paired) == (paired, "mid_block")
    paired.mid_block.base_midblock = nn.Identity()
    assert find_mid_block(paired) == (paired.mid_block, "base_midblock")


def test_only_a_patch_in_the_mid_block_reads_it():
    def options(*places):
        return {"patches_replace": {"attn1": dict.fromkeys(places)}}

    assert not mid_attention_is_read({})
    assert not mid_attention_is_read(options(("input", 4), ("output", 0)))
    assert mid_attention_is_read(options(("input", 4), ("middle", 0)))


def test_half_precision_keeps_its_type():
    for dtype in (torch.float16, torch.bfloat16):
        out, h = torch.randn(2, 3, 2, 2).to(dtype), torch.randn(2, 3, 2, 2).to(dtype)
        assert blend(out, h, 0.5).dtype == dtype
        assert torch.equal(blend(out, h, torch.tensor([0.0, 1.0])), torch.stack([out[0], h[1]]))


def test_what_cannot_be_blended_is_refused():
    with pytest.raises(ValueError, match="keeps the shape"):
        blend(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 4, 4), 0.5)
    with pytest.raises(ValueError, match="2 rows, its input 3"):
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
