"""Which rows of a U-Net call are the prompt's, in the ways in which the hosts batch them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from stand_in import SHIM, modules_in_place, run_shim
from webui_driver import Processing, World
from webui_models import A1111Model, ForgeModel, ldm_unet, looping_unet

REFUSED = "use apply_to = both"


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


@pytest.fixture
def host():
    with modules_in_place("a1111"):
        run_shim(SHIM)
        yield sys.modules["detour_webui.extension.host"]


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


def test_instruct_pix2pix_has_the_negative_prompt_twice(host):
    """A1111: the prompt, then the negative prompt with the picture, then without it."""
    p = SimpleNamespace(sd_model=SimpleNamespace())
    rows = host.rows_of(p, params(6, 2))
    assert rows.conditioned({}, 6) == [True, True, False, False, False, False]
    split = host.rows_of(p, params(6, 2))
    parts = [split.conditioned({}, 2) for _ in range(3)]
    assert parts == [[True, True], [False, False], [False, False]]
    with pytest.raises(ValueError, match=REFUSED):
        split.conditioned({}, 2)


def test_tiles_in_the_forge_family(host):
    """All chunks of the first tile, then all of the second."""
    rows = host.rows_of(forge(tiled=True), params(2, 2))
    whole = [False, False, True, True]
    assert told(rows, [1, 0], 2, 8) == whole * 2
    assert told(rows, [1, 0], 2, 4) == whole
    untiled = host.rows_of(forge(), params(2, 2))
    with pytest.raises(ValueError, match=REFUSED):
        told(untiled, [1, 0], 2, 8)


@pytest.mark.parametrize("order", [(1, 0), (0, 1)])
def test_halves_one_after_the_other_in_the_forge_family(host, order):
    """With little memory the negative prompt may come first."""
    rows = host.rows_of(forge(), params(2, 2))
    parts = [told(rows, [chunk], 2, 2) for chunk in order]
    assert parts == [[chunk == 0] * 2 for chunk in order]


def test_several_prompts_in_the_forge_family(host):
    rows = host.rows_of(forge(), params(2, 4))  # AND: two prompts for each of two pictures
    assert told(rows, [1, 0], 2, 4) == [False, False, True, True]
    assert told(rows, [0], 2, 2) == [True, True]


@pytest.mark.parametrize("first", [[[1, 0]], [[1], [0]], [[0], [1]]])
def test_one_of_the_two_evaluated_once_more_is_refused(host, first):
    """SAG evaluates the negative prompt, PAG the prompt: this host gives 0 for both."""
    rows = host.rows_of(forge(), params(2, 2))
    for chunks in first:
        told(rows, chunks, 2, 2 * len(chunks))
    with pytest.raises(ValueError, match=REFUSED):
        told(rows, [0], 2, 2)


def test_a_call_that_does_not_tell_its_pictures_is_refused(host):
    rows = host.rows_of(forge(), params(2, 2))
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
def test_tiles_in_a1111_are_told_and_left_alone(way):
    with modules_in_place("a1111") as made:
        shim = run_shim(SHIM)
        world = World(made, A1111Model(ldm_unet()))
        world.script = shim.DetourScript()

        def take_over(denoiser):
            if way == "model":
                world.model.apply_model_original_md = world.model.apply_model
            else:
                inner = denoiser.inner_model
                inner.forward = Tiles(inner.forward).forward

        def run(values):
            p = Processing(world)
            if values is not None:
                p.scripts, p.args = world.script, (values,)
            world.events[0] = [take_over]
            return p, world.generate(p)[0]

        on = {"enabled": True, "strength": 0.7, "end_percent": 0.6}
        _, plain = run(None)
        p, left_alone = run({**on, "apply_to": "cond"})
        assert torch.equal(left_alone, plain)
        assert [REFUSED in text and "Tiled Diffusion" in text for text in p.comments] == [True]
        p, bypassed = run(on)
        assert not torch.equal(bypassed, plain) and not p.comments


def test_forges_patches_that_call_once_more(monkeypatch):
    """A whole run: `both` works, one half stops with the sentence."""
    with modules_in_place("a1111") as made:
        shim = run_shim(SHIM)
        world = World(made, ForgeModel(looping_unet()))
        world.script = shim.DetourScript()
        inner = ForgeModel.apply_model

        def with_sag(self, x, t, cond=None, chunks=()):
            out = inner(self, x, t, cond, chunks)
            each = len(x) // len(chunks)
            inner(self, x[:each], t[:each], cond[:each], [0])
            return out

        monkeypatch.setattr(ForgeModel, "apply_model", with_sag)
        for half in ("cond", "both"):
            p = Processing(world)
            values = {"enabled": True, "strength": 0.7, "end_percent": 0.6, "apply_to": half}
            p.scripts, p.args = world.script, (values,)
            if half == "both":
                world.generate(p)
            else:
                with pytest.raises(ValueError, match=REFUSED):
                    world.generate(p)
