"""A range of a transformer's blocks in the Forge family, against the lerp written out."""

from __future__ import annotations

import pytest
import torch
from stand_in import SHIM, run_shim
from webui_driver import World, make, unet_of
from webui_models import ForgeModel, chroma_transformer, flux_transformer

pytestmark = pytest.mark.usefixtures("no_grad")


class Literally(torch.nn.Module):
    """In place of the last block of a range: the lerp, written out.

    kept: what its first block was given.
    """

    def __init__(self, block, kept, lam):
        super().__init__()
        self.block, self.kept, self.lam = block, kept, lam

    def forward(self, x, vec, pe):
        before = torch.cat(self.kept.pop(), dim=1)
        return torch.lerp(self.block(x, vec, pe), before, self.lam)


def written_out(model, lam):
    """Blocks 1 and 2 of a Flux, one with two streams and one with one, bypassed by hand."""
    kept = []

    def remember(_block, args):
        img, txt = args[:2]
        kept.append((txt.clone(), img.clone()))

    model.double_blocks[1].register_forward_pre_hook(remember)
    model.single_blocks[0] = Literally(model.single_blocks[0], kept, lam)
    return model


@pytest.mark.parametrize(("made", "lam"), [(flux_transformer, 0.7), (chroma_transformer, 1.0)])
def test_of_a_transformer_a_range_of_blocks_is_bypassed(host, caplog, made, lam):
    host["modules.script_callbacks"].clear_callbacks()
    caplog.set_level("INFO", logger="detour")
    world = World(host, ForgeModel(made()))
    world.script = run_shim(SHIM).DetourScript()
    plain = world.generate(make(world))[0]
    values = {"enabled": True, "strength": lam, "end_percent": 1.0, "blocks": "1-2"}
    p = make(world, values)
    found = world.generate(p)[0]
    other = World(host, ForgeModel(written_out(made(), lam)))
    assert torch.equal(found, other.generate(make(other))[0]) and not torch.equal(found, plain)
    assert not p.comments and any("bypassed blocks 1-2 of 4 in" in text for text in caplog.messages)
    unet = unet_of(world)
    assert not unet._forward_pre_hooks and not unet._forward_hooks
    assert torch.equal(world.generate(make(world))[0], plain)
    caplog.clear()
    world.generate(make(world, {**values, "blocks": "0-1"}))
    warned = [each.message for each in caplog.records if each.levelname == "WARNING"]
    (line,) = warned
    assert "blocks 0-1 of 4 of this FluxTransformer touch an end of the model" in line
    p = make(world, {**values, "blocks": "2-9"})
    assert torch.equal(world.generate(p)[0], plain)
    assert any("FluxTransformer has 4 blocks, 0 to 3" in text for text in p.comments)
