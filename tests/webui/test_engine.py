"""The bypass as the sessions put it in, on the U-Net classes that the hosts run."""

from __future__ import annotations

import pytest
import torch
from stand_in import SHIM, modules_in_place, run_shim
from webui_models import WORDS, diffusers_unet, ldm_unet, looping_unet

from detour.schedule import Schedule
from detour.ways.bypass import Dial

MAKERS = [ldm_unet, diffusers_unet, looping_unet]
pytestmark = pytest.mark.usefixtures("no_grad")


@pytest.fixture
def bypassing():
    """Bypasses the calls of a U-Net in the first half of the denoising, at its beginning."""
    with modules_in_place("a1111"):
        run_shim(SHIM)
        from detour_webui.extension.bypass import UNetCalls

        def begin(unet, lam, skip_compute=True):
            schedule = Schedule(lam, end_percent=0.5)
            calls = UNetCalls(Dial(schedule, skip_compute=skip_compute))
            calls.set(unet, 0.0)
            return calls

        yield begin


@pytest.fixture(params=MAKERS)
def unet(request):
    return request.param()


def call(unet, rows=2, **kwargs):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 4, 8, 8, generator=generator)
    words = torch.randn(rows, 3, WORDS, generator=generator)
    times = torch.full((rows,), 500)
    if hasattr(unet, "mid_block"):
        return unet(x, times, encoder_hidden_states=words, **kwargs).sample
    return unet(x, times, context=words, **kwargs)


def mid_name(unet):
    return "mid_block" if hasattr(unet, "mid_block") else "middle_block"


def first_conv(block):
    return next(module for module in block.modules() if isinstance(module, torch.nn.Conv2d))


def literal(unet, lam, **kwargs):
    """The definition, written out by hand for hosts that loop and for hosts that call."""
    if type(unet).__name__ == "LoopingUNet":
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(2, 4, 8, 8, generator=generator)
        words = torch.randn(2, 3, WORDS, generator=generator)
        h = unet.inlet(x + 1e-3 * torch.full((2, 1, 1, 1), 500))
        out = h
        for layer in unet.middle_block:
            out = layer(out, words) if hasattr(layer, "to_kv") else layer(out)
        return unet.outlet(torch.cat([torch.lerp(out, h, lam), h], dim=1))
    block = getattr(unet, mid_name(unet))
    forward = block.forward
    block.forward = lambda h, *args, **more: torch.lerp(forward(h, *args, **more), h, lam)
    try:
        return call(unet, **kwargs)
    finally:
        del block.forward


@pytest.mark.parametrize("lam", [-1.0, 0.25, 0.7, 1.0])
def test_a_bypassed_call_equals_the_literal_formula(bypassing, unet, lam):
    expected, plain = literal(unet, lam), call(unet)
    calls = bypassing(unet, lam)
    assert torch.equal(call(unet), expected)
    assert not torch.equal(expected, plain)
    calls.detach()
    assert torch.equal(call(unet), plain)


def test_zero_leaves_nothing_on_the_hot_path(bypassing, unet):
    plain = call(unet)
    bypassing(unet, 1.0).set(unet, 0.9)
    assert not unet._forward_pre_hooks and not unet._forward_hooks
    assert torch.equal(call(unet), plain)


def controlled(unet, residual):
    """As the ControlNet extension of A1111 does it: a forward of its own on the U-Net, which
    calls the blocks and adds its residual in place."""
    from ldm.modules.diffusionmodules.util import timestep_embedding

    def forward(x, timesteps=None, context=None):
        emb = unet.time_embed(timestep_embedding(timesteps, unet.model_channels))
        kept, h = [], x
        for block in unet.input_blocks:
            h = block(h, emb, context)
            kept.append(h)
        h = unet.middle_block(h, emb, context)
        h += residual
        for block in unet.output_blocks:
            h = block(torch.cat([h, kept.pop()], dim=1), emb, context)
        return unet.out(h)

    unet.forward = forward
    return unet


@pytest.mark.parametrize("lam", [0.5, 1.0])
def test_the_residual_of_a1111s_controlnet_is_never_faded(bypassing, lam):
    unet = ldm_unet()
    assert torch.equal(call(controlled(unet, 0.0)), call(ldm_unet()))
    with_control = call(controlled(unet, 3.0))
    expected = literal(unet, lam)
    calls = bypassing(unet, lam)
    assert torch.equal(call(unet), expected)
    calls.detach()
    assert torch.equal(call(unet), with_control)


@pytest.mark.parametrize("lam", [0.5, 1.0])
def test_the_residual_of_diffusers_controlnet_is_never_faded(bypassing, lam):
    unet = diffusers_unet()
    control = {
        "mid_block_additional_residual": torch.tensor(3.0),
        "down_block_additional_residuals": (torch.tensor(0.0),) * 32,
    }
    expected = literal(unet, lam, **control)
    bypassing(unet, lam)
    assert torch.equal(call(unet, **control), expected)
    assert not torch.equal(call(unet), expected)


@pytest.mark.parametrize("skip", [True, False])
def test_attention_that_a_patch_reads_is_computed(bypassing, skip):
    unet, runs = looping_unet(), []
    unet.middle_block[1].register_forward_hook(lambda *_: runs.append(1))
    options = {"patches_replace": {"attn1": {("middle", 0): object()} if skip else {}}}
    calls = bypassing(unet, 1.0, skip)
    found = call(unet, transformer_options=options)
    calls.detach()
    assert runs == [1]
    assert torch.equal(found, literal(unet, 1.0))


def test_after_an_error_in_the_call_the_block_is_back(bypassing, unet):
    plain, block = call(unet), getattr(unet, mid_name(unet))
    calls = bypassing(unet, 0.5)

    def fail(*_):
        raise RuntimeError("out of memory")

    hook = first_conv(block).register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError):
        call(unet)
    hook.remove()
    assert getattr(unet, mid_name(unet)) is block
    calls.detach()
    assert torch.equal(call(unet), plain)


def test_a_call_that_an_interrupt_ended_leaves_nothing_for_the_next(bypassing, unet):
    """torch calls no hook after an error that is no Exception, as the hosts' interrupt is none."""
    calls = bypassing(unet, 0.5)
    expected = call(unet)

    def interrupt(*_):
        raise KeyboardInterrupt

    hook = first_conv(getattr(unet, mid_name(unet))).register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        call(unet)
    hook.remove()
    again = call(unet)
    calls.detach()
    assert torch.equal(getattr(again, "sample", again), getattr(expected, "sample", expected))


def test_a_replaced_forward_of_another_extension_stays(bypassing):
    unet = ldm_unet()
    inner, seen = unet.forward, []

    def forward(*args, **kwargs):
        seen.append(1)
        return inner(*args, **kwargs)

    unet.forward = forward
    calls = bypassing(unet, 0.5)
    found = call(unet)
    calls.detach()
    assert seen and unet.forward is forward
    assert torch.equal(found, literal(unet, 0.5))
