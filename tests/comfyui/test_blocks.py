"""A range of a transformer's blocks, against the formula around the host's own blocks."""

from __future__ import annotations

import logging

import pytest
import torch

INSIDE = [
    ("lumina", 1, 3),
    ("z_image", 1, 2),
    ("qwen", 1, 2),
    ("wan", 1, 2),
    ("sd3", 1, 2),
    ("flux", 1, 1),
    ("flux", 3, 4),
    ("flux", 1, 3),
    ("flux2", 2, 4),
    ("chroma", 1, 3),
    ("radiance", 2, 3),
    ("cosmos", 1, 2),
    ("anima", 1, 2),
    ("krea2", 1, 2),
    ("ernie", 1, 2),
]
ENDS = [("qwen", 0, 1), ("sd3", 2, 3), ("wan", 3, 3), ("flux", 0, 3), ("flux", 2, 5)]


@pytest.mark.parametrize(("family", "first", "last"), [*INSIDE, *ENDS])
def test_every_stream_is_blended_around_the_range(ranges, family, first, last):
    model, lam = ranges.build(family), 0.4
    plain = ranges.run(model, family)
    with ranges.lerped(model, first, last, lam):
        wanted = ranges.run(model, family)
    dialled = ranges.bypass(model, f"{first}-{last}", lam)
    with ranges.counted(model) as ran:
        assert torch.equal(ranges.run(dialled, family), wanted)
    assert all(ran)
    assert not torch.equal(wanted, plain)
    assert torch.equal(ranges.run(model, family), plain)


@pytest.mark.parametrize(("family", "first", "last"), [*INSIDE, *ENDS])
def test_lam_one_is_the_identity_and_runs_nothing_of_the_range(ranges, family, first, last):
    model = ranges.build(family)
    with ranges.left_out(model, first, last):
        wanted = ranges.run(model, family)
    blocks = f"{first}-{last}"
    with ranges.counted(model) as ran:
        assert torch.equal(ranges.run(ranges.bypass(model, blocks, 1.0), family), wanted)
    assert [place for place, runs in enumerate(ran) if not runs] == [*range(first, last + 1)]
    computed = ranges.bypass(model, blocks, 1.0, skip_compute=False)
    assert torch.equal(ranges.run(computed, family), wanted)


@pytest.mark.parametrize("family", ["lumina", "flux"])
def test_lam_zero_puts_nothing_in_place(lab, ranges, family):
    """Outside of the window; the first of two steps is inside of it."""
    model, seen = ranges.build(family), []
    own = [block for _, block in ranges.all_of(model)]
    dialled = ranges.bypass(model, "1-3", 0.5, schedule_by="step", end_percent=0.5)
    dialled.add_wrapper_with_key(
        lab.WrappersMP.DIFFUSION_MODEL,
        "test",
        lambda executor, *given, **named: (
            seen.append([now is own[place] for place, (_, now) in enumerate(ranges.all_of(model))]),
            executor(*given, **named),
        )[1],
    )
    ranges.run(dialled, family)
    assert seen == [[True, False, False, False, True, True], [True] * 6]
    assert torch.equal(
        ranges.run(ranges.bypass(model, "1-3", 0.0), family), ranges.run(model, family)
    )


@pytest.mark.parametrize("lams", [(0.5, 0.25), (1.0, 0.25), (0.5, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize(
    "pair",
    {
        "disjoint": ((0, 1), (3, 4)),
        "inside": ((1, 4), (2, 3)),
        "same_start": ((1, 4), (1, 2)),
        "same_end": ((1, 4), (3, 4)),
        "crossing": ((1, 3), (2, 4)),
    }.values(),
    ids=str,
)
def test_two_dials_in_either_order(ranges, pair, lams):
    """As if the inner range, or the one that ends first, came first and were a part of the other.
    Crossing ranges need what lies before the later one even at strength 1."""
    model = ranges.build("lumina")
    (first, second), (lam, other) = pair, lams
    with ranges.lerped(model, *second, other), ranges.lerped(model, *first, lam):
        wanted = ranges.run(model, "lumina")
    dials = [("{}-{}".format(*first), lam), ("{}-{}".format(*second), other)]
    for order in (dials, dials[::-1]):
        dialled = model
        for blocks, strength in order:
            dialled = ranges.bypass(dialled, blocks, strength)
        assert torch.equal(ranges.run(dialled, "lumina"), wanted)


def test_two_dials_on_the_same_blocks_stack(ranges):
    model = ranges.build("sd3")
    with ranges.lerped(model, 1, 2, 0.5), ranges.lerped(model, 1, 2, 0.25):
        wanted = ranges.run(model, "sd3")
    dialled = ranges.bypass(ranges.bypass(model, "1-2", 0.5), "1-2", 0.25)
    assert torch.equal(ranges.run(dialled, "sd3"), wanted)
    full = ranges.bypass(ranges.bypass(model, "1-2", 1.0), "1-2", 0.25)
    with ranges.counted(model) as ran:
        ranges.run(full, "sd3")
    assert ran[1:3] == [0, 0]


@pytest.mark.parametrize(("half", "chunk"), [("cond", 0), ("uncond", 1)])
@pytest.mark.parametrize("family", ["flux", "qwen"])
def test_rows_of_one_half(ranges, family, half, chunk):
    def half_lerped(out, h, options):
        chunks = options["cond_or_uncond"]
        pairs = zip(chunks, out.chunk(len(chunks)), h.chunk(len(chunks)), strict=True)
        return torch.cat([torch.lerp(o, i, 0.7) if c == chunk else o for c, o, i in pairs])

    model = ranges.build(family)
    with ranges.lerped(model, 1, 2, half_lerped):
        wanted = ranges.run(model, family, cfg=3.0)
    dialled = ranges.bypass(model, "1-2", 0.7, apply_to=half)
    assert torch.equal(ranges.run(dialled, family, cfg=3.0), wanted)


def test_auto_is_the_middle_third_and_said_to_be_a_guess(ranges, caplog, notices):
    model = ranges.build("lumina")
    with caplog.at_level(logging.INFO, "detour"):
        dialled = ranges.bypass(model, "auto", 0.5, unique_id="7")
    assert "blocks = auto takes blocks 2-3 of 6 of this NextDiT" in caplog.text
    assert "no range was shown to bring variety" in caplog.text
    wanted = ranges.run(ranges.bypass(model, "2-3", 0.5), "lumina")
    assert torch.equal(ranges.run(dialled, "lumina"), wanted)
    assert notices == [("7", "strength 0.5: bypassed blocks 2-3 of 6 in 2 of 2 model calls", False)]


@pytest.mark.parametrize(("blocks", "warns"), [("0-1", True), ("4-5", True), ("1-4", False)])
def test_an_end_of_the_model_is_warned_of(ranges, caplog, blocks, warns):
    with caplog.at_level(logging.WARNING, "detour"):
        ranges.bypass(ranges.build("flux"), blocks, 0.5)
    assert ("touch an end of the model" in caplog.text) is warns


@pytest.mark.parametrize("lam", [0.5, 1.0])
def test_an_error_inside_leaves_nothing_behind(ranges, lam):
    model = ranges.build("flux")
    blocks, plain = ranges.all_of(model), ranges.run(model, "flux")

    def fail(*_):
        raise torch.OutOfMemoryError("in the middle")

    handle = blocks[4][1].register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        ranges.run(ranges.bypass(model, "1-3", lam), "flux")
    handle.remove()
    assert ranges.all_of(model) == blocks
    assert torch.equal(ranges.run(model, "flux"), plain)


@pytest.mark.parametrize("family", ["wan", "flux"])
def test_keys_and_attributes_stay_during_a_call(lab, ranges, family):
    """Wan's blocks have a weight of their own beside their children's."""
    model, seen = ranges.build(family), []
    whole, (_, block) = model.model.diffusion_model, ranges.all_of(model)[1]
    block._v_block, block.mark = object(), "mine"  # a newer host captures graphs by the first
    names = [name for name, _ in whole.named_modules()]
    wanted = {name: value.data_ptr() for name, value in whole.state_dict().items()}

    def look(executor, *given, **named):
        (_, stand_in), *_rest = ranges.all_of(model)[1:]
        assert stand_in is not block
        assert [name for name, _ in whole.named_modules()] == names
        assert {name: value.data_ptr() for name, value in whole.state_dict().items()} == wanted
        assert [*stand_in.modules()][1:] == [*block.modules()][1:]
        assert stand_in.mark == "mine"
        assert not hasattr(stand_in, "_v_block")
        seen.append(1)
        return executor(*given, **named)

    dialled = ranges.bypass(model, "1-2", 0.5)
    dialled.add_wrapper_with_key(lab.WrappersMP.DIFFUSION_MODEL, "test", look)
    ranges.run(dialled, family)
    assert seen == [1, 1]


def test_a_sweep_takes_the_same_blocks(lab, ranges):
    model = ranges.build("qwen")
    models, labels = lab.run_node(
        "DetourBypassSweep", model=model, strengths="0, 0.5", blocks="1", end_percent=1.0
    )
    assert labels == ["strength 0", "strength 0.5"]
    with ranges.lerped(model, 1, 1, 0.5):
        wanted = ranges.run(model, "qwen")
    assert torch.equal(ranges.run(models[1], "qwen"), wanted)
