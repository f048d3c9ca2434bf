"""A range of blocks in runs that have more than a prompt: reference pictures, masks, windows."""

from __future__ import annotations

import pytest
import torch
from graph_parts import in_windows


def compared(ranges, model, family, lam, **run):
    """The bypass is its formula around the host's own blocks; gives the plain run."""
    with ranges.lerped(model, 1, 2, lam):
        wanted = ranges.run(model, family, **run)
    assert torch.equal(ranges.run(ranges.bypass(model, "1-2", lam), family, **run), wanted)
    plain = ranges.run(model, family, **run)
    assert not torch.equal(plain, wanted)
    return plain


@pytest.mark.parametrize("lam", [0.4, 1.0])
@pytest.mark.parametrize("family", ["flux", "qwen"])
def test_reference_pictures(lab, ranges, family, lam):
    """Kontext and Qwen-Image-Edit: their tokens go through the blocks with the picture's."""
    model = ranges.build(family)
    shape = ranges.transformers.empty(model)["samples"].shape
    reference = {"reference_latents": [lab.randn(*shape, seed=7)]}
    texts = {
        "positive": ranges.transformers.conditioning(family, 10, **reference),
        "negative": ranges.texts(family)["negative"],
    }
    plain = compared(ranges, model, family, lam, **texts)
    assert not torch.equal(plain, ranges.run(model, family))


@pytest.mark.parametrize("family", ["lumina", "sd3"])
def test_masks_of_prompts_and_of_latents(ranges, family):
    """Two prompts, each for one half, and a latent of which one half is kept."""
    model, halves = ranges.build(family), torch.zeros(2, 8, 8)
    halves[0, :, :4] = halves[1, :, 4:] = 1.0
    make = ranges.transformers.conditioning
    positive = [
        *make(family, 10, mask=halves[:1], mask_strength=1.0),
        *make(family, 11, mask=halves[1:], mask_strength=1.0),
    ]
    texts = {"positive": positive, "negative": ranges.texts(family)["negative"]}
    plain = compared(ranges, model, family, 0.4, noise_mask=halves[:1], **texts)
    assert not torch.equal(plain, ranges.run(model, family, **texts))
    assert not torch.equal(plain, ranges.run(model, family, noise_mask=halves[:1]))


def test_context_windows(lab, ranges):
    """Of a video of 5 latent frames, in windows of 3: a call for each."""
    model, video = ranges.build("wan"), (1, 16, 5, 8, 8)  # the host has windows for one row alone
    plain = compared(ranges, in_windows(lab, model, 3, dim=2), "wan", 0.4, shape=video)
    assert not torch.equal(plain, ranges.run(model, "wan", shape=video))
