"""Which rows of a U-Net call are the prompt's, in the ways in which the hosts batch them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from stand_in import SHIM, run_shim
from webui_driver import World, make
from webui_models import a1111

REFUSED = "use apply_to = both"
pytestmark = pytest.mark.usefixtures("no_grad")


@pytest.fixture
def rows_of(host):
    run_shim(SHIM)
    return sys.modules["detour_webui.extension.host"].rows_of


def params(rows: int, prompts: int, inner=None):
    """What the host's callback gets, as far as rows go."""
    denoiser = SimpleNamespace(inner_model=inner or SimpleNamespace())
    return SimpleNamespace(
        x=torch.zeros(rows, 4, 8, 8), text_cond=torch.zeros(prompts, 3, 8), denoiser=denoiser
    )


def forge(tiled: bool = False):
    options = {"tiled_diffusion": True} if tiled else {}
    unet = SimpleNamespace(model_options=options)
    return SimpleNamespace(sd_model=SimpleNamespace(forge_objects=SimpleNamespace(unet=unet)))


def told(rows, chunks, pictures: int, count: int):
    options = {"cond_or_uncond": chunks, "sigmas": torch.zeros(pictures)}
    return rows.conditioned(options, count)


def test_instruct_pix2pix_has_the_negative_prompt_twice(rows_of):
    """A1111: the prompt, then the negative prompt with the picture, then without it."""
    p = SimpleNamespace(sd_model=SimpleNamespace())
    rows = rows_of(p, params(6, 2))
    assert rows.conditioned({}, 6) == [True, True, False, False, False, False]
    split = rows_of(p, params(6, 2))
    parts = [split.conditioned({}, 2) for _ in range(3)]
    assert parts == [[True, True], [False, False], [False, False]]
    with pytest.raises(ValueError, match=REFUSED):
        split.conditioned({}, 2)


def test_tiles_in_the_forge_family(rows_of):
    """All chunks of the first tile, then all of the second."""
    rows = rows_of(forge(tiled=True), params(2, 2))
    whole = [False, False, True, True]
    assert told(rows, [1, 0], 2, 8) == whole * 2
    assert told(rows, [1, 0], 2, 4) == whole
    untiled = rows_of(forge(), params(2, 2))
    with pytest.raises(ValueError, match=REFUSED):
        told(untiled, [1, 0], 2, 8)


@pytest.mark.parametrize("order", [(1, 0), (0, 1)])
def test_halves_one_after_the_other_in_the_forge_family(rows_of, order):
    """With little memory the negative prompt may come first."""
    rows = rows_of(forge(), params(2, 2))
    parts = [told(rows, [chunk], 2, 2) for chunk in order]
    assert parts == [[chunk == 0] * 2 for chunk in order]


def test_several_prompts_in_the_forge_family(rows_of):
    rows = rows_of(forge(), params(2, 4))  # AND: two prompts for each of two pictures
    assert told(rows, [1, 0], 2, 4) == [False, False, True, True]
    assert told(rows, [0], 2, 2) == [True, True]


@pytest.mark.parametrize("first", [[[1, 0]], [[1], [0]], [[0], [1]]])
def test_one_of_the_two_evaluated_once_more_is_refused(rows_of, first):
    """SAG evaluates the negative prompt, PAG the prompt: this host gives 0 for both."""
    rows = rows_of(forge(), params(2, 2))
    for chunks in first:
        told(rows, chunks, 2, 2 * len(chunks))
    with pytest.raises(ValueError, match=REFUSED):
        told(rows, [0], 2, 2)


def test_a_call_that_does_not_tell_its_pictures_is_refused(rows_of):
    rows = rows_of(forge(), params(2, 2))
    with pytest.raises(ValueError, match=REFUSED):
        rows.conditioned({"cond_or_uncond": [1, 0]}, 4)


class Tiles:
    """Stands for the extension Tiled Diffusion (pkuliyi2015): it puts itself around the denoiser's
    model (MultiDiffusion) or the model's `apply_model` (Mixture of Diffusers, DemoFusion)."""

    def __init__(self, inner) -> None:
        self.inner, self.batched_bboxes = inner, [[0, 1]]

    def forward(self, x, sigma, cond):
        half = x.shape[-1] // 2
        tiles = torch.cat([x[..., :half], x[..., half:]])
        both = torch.cat([cond, cond])
        return torch.cat(self.inner(tiles, torch.cat([sigma, sigma]), cond=both).chunk(2), dim=-1)


@pytest.mark.parametrize("way", ["denoiser", "model"])
def test_tiles_in_a1111_are_told_and_left_alone(host, way):
    world = World(host, a1111())
    world.script = run_shim(SHIM).DetourScript()

    def take_over(denoiser):
        if way == "model":
            world.model.apply_model_original_md = world.model.apply_model
        else:
            inner = denoiser.inner_model
            inner.forward = Tiles(inner.forward).forward

    def run(values):
        p = make(world, values)
        world.events[0] = [take_over]
        return p, world.generate(p)[0]

    on = {"enabled": True, "strength": 0.7, "end_percent": 0.6}
    _, plain = run(None)
    p, left_alone = run({**on, "apply_to": "cond"})
    assert torch.equal(left_alone, plain)
    assert [REFUSED in text and "Tiled Diffusion" in text for text in p.comments] == [True]
    p, bypassed = run(on)
    assert not torch.equal(bypassed, plain) and not p.comments
