"""Strength 0, a flat curve and a window that no call reaches leave every bit as it was."""

from __future__ import annotations

import pytest
import torch

NEVER = {
    "strength_0": {"strength": 0.0},
    "flat_curve": {"shape": "curve", "points": "0:0, 1:0"},
    "unreached_window": {"start_percent": 0.4, "end_percent": 0.6},
    "unreached_window_by_step": {
        "start_percent": 0.8,
        "end_percent": 0.9,
        "schedule_by": "step",
    },
}


@pytest.mark.parametrize("case", NEVER)
def test_run_is_bit_identical(lab, case):
    model = lab.tiny("sd15")
    assert torch.equal(lab.sample(lab.bypass(model, **NEVER[case])), lab.sample(model))


@pytest.mark.parametrize("case", ["strength_0", "flat_curve"])
def test_nothing_is_registered(lab, case):
    patched = lab.bypass(lab.tiny("sd15"), **NEVER[case])
    assert not any(patched.wrappers.values())
    assert not any(patched.callbacks.values())
    assert not patched.object_patches


def test_outside_the_window_nothing_is_put_in_place(lab):
    model = lab.tiny("sd15")
    unet = lab.unet_of(model)
    kinds = []
    patched = lab.bypass(model, 0.5, end_percent=0.4)
    patched.add_wrapper_with_key(
        lab.WrappersMP.APPLY_MODEL,
        "test",
        lambda executor, *given, **named: (
            kinds.append(type(unet.middle_block)),
            executor(*given, **named),
        )[1],
    )
    lab.sample(patched)
    original = type(unet.middle_block)
    assert [kind is original for kind in kinds] == [False, False, True, True]
