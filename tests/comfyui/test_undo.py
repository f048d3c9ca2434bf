"""Whatever happens in a run, nothing of the dial stays behind."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from contextlib import contextmanager

import pytest
import torch


@contextmanager
def failing(module: torch.nn.Module, error: BaseException):
    """The module raises when it runs."""

    def fail(*_):
        raise error

    handle = module.register_forward_pre_hook(fail)
    try:
        yield
    finally:
        handle.remove()


def cancel_in_callback(lab, model) -> None:
    """The user presses Cancel: the host raises from the sampler's callback."""
    from comfy.model_management import InterruptProcessingException

    def callback(step, *_):
        if step == 1:
            raise InterruptProcessingException

    with pytest.raises(InterruptProcessingException):
        lab.sample(lab.bypass(model, 0.5), callback=callback)


def cancel_in_call(lab, model) -> None:
    """Cancel is noticed while the stand-in is in place."""
    from comfy.model_management import InterruptProcessingException

    with (
        failing(lab.unet_of(model).output_blocks[0][0], InterruptProcessingException()),
        pytest.raises(InterruptProcessingException),
    ):
        lab.sample(lab.bypass(model))


def error_in_mid_block(lab, model) -> None:
    """Something breaks inside the mid-block."""
    with (
        failing(lab.unet_of(model).middle_block[1], RuntimeError("broken")),
        pytest.raises(RuntimeError, match="broken"),
    ):
        lab.sample(lab.bypass(model, 0.5))


def out_of_memory(lab, model) -> None:
    """The card is full inside the mid-block."""
    from comfy.model_management import OOM_EXCEPTION

    with (
        failing(lab.unet_of(model).middle_block[2], OOM_EXCEPTION("no memory")),
        pytest.raises(OOM_EXCEPTION),
    ):
        lab.sample(lab.bypass(lab.bypass(model, 0.5), -0.5))


FAILURES: dict[str, Callable] = {
    failure.__name__: failure
    for failure in (cancel_in_callback, cancel_in_call, error_in_mid_block, out_of_memory)
}


@pytest.mark.parametrize(
    ("shape", "failure"), [*(("small", name) for name in FAILURES), ("demo", "out_of_memory")]
)
def test_next_runs_are_bit_identical_after(lab, shape, failure):
    model = lab.build(shape)
    unet = lab.unet_of(model)
    mid, children = unet.middle_block, list(unet.middle_block)
    plain, full = lab.sample(model), lab.sample(lab.bypass(model))
    FAILURES[failure](lab, model)
    assert unet.middle_block is mid
    assert list(mid) == children
    assert torch.equal(lab.sample(model), plain)
    assert torch.equal(lab.sample(lab.bypass(model)), full)


def test_the_next_plain_run_is_that_of_the_host_before_the_pack_was_loaded(lab):
    """After every failure and a finished run in this process, and whatever ran before."""
    model = lab.tiny("small")
    for failure in FAILURES.values():
        failure(lab, model)
    lab.sample(lab.bypass(model, -0.7))
    assert lab.checksum(lab.sample(model)) == lab.before_the_pack()


def references(model) -> list[weakref.ref]:
    """Weak references to everything that must not be held."""
    unet = model.model.diffusion_model
    held = (model, model.model, unet, unet.middle_block, unet.middle_block[0])
    return [weakref.ref(thing) for thing in held]


@pytest.mark.parametrize("failure", [None, *FAILURES])
def test_nothing_holds_the_model(lab, failure):
    """Not the host, not the log, and not the wrappers even if somebody keeps those."""
    model = lab.tiny("small")
    patched = lab.bypass(model, 0.5)
    wrappers = [list(by_key.values()) for by_key in patched.wrappers.values()]
    lab.sample(patched)
    lab.sample(lab.bypass(model))
    if failure:
        FAILURES[failure](lab, model)
    watched = [*references(model), weakref.ref(patched)]
    del model, patched
    gc.collect()
    assert [ref() for ref in watched] == [None] * len(watched)
    assert wrappers


def test_nothing_of_a_run_stays_in_the_options(lab):
    model = lab.tiny("small")
    patched = lab.bypass(model, 0.5)
    before = repr(patched.model_options), repr(patched.wrappers)
    lab.sample(patched)
    assert (repr(patched.model_options), repr(patched.wrappers)) == before


def test_a_failed_run_says_nothing_of_a_missed_window(lab, caplog):
    """The notice belongs to runs that came to their end."""
    caplog.set_level(logging.INFO)
    error_in_mid_block(lab, lab.tiny("small"))
    assert "never reached" not in caplog.text
