"""The relief of guidance: by its formula, with the rows that it saves, and gone after the run."""

from __future__ import annotations

import pytest
import torch


def relief(lab, model, strength=1.0, **inputs):
    """A MODEL through the node; by default over the whole denoising."""
    inputs = {"start_percent": 0.0, "end_percent": 1.0, **inputs}
    return lab.run_node("DetourGuidanceRelief", model=model, strength=strength, **inputs)[0]

def test_smoke(lab, notices):
    model = lab.tiny("sd15")
    with lab.watching(relief(lab, model, end_percent=0.5, unique_id="7")) as w:
        got = lab.sample(w.model)
    print([c.cond_or_uncond for c in w.calls], notices)
    assert not torch.equal(got, lab.sample(model))
    assert torch.equal(lab.sample(relief(lab, model), cfg=3.0), lab.sample(model, cfg=1.0))
