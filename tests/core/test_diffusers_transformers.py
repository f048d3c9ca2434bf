"""The ways in diffusers' pipelines with a transformer, against the definitions written over the
transformers' own blocks by hand. docs/diffusers.md shows what is found here, line by line."""

from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from diffusers import LTXVideoTransformer3DModel
from diffusers_transformers import MAKE, build

from detour.diffusers import guidance_relief, mid_block_bypass, prompt_fade
from detour.schedule import Schedule

DOCS = Path(__file__).parents[2] / "docs" / "diffusers.md"
RANGES = {name: [(1, 2)] for name in MAKE}
RANGES["flux"] += [(1, 3)]
RANGES["sd3"] += [(2, 3)]  # the last block gives no text
HIDDEN = ("hidden_states", "encoder_hidden_states")


def by_step(strength=1.0, end=1.0):
    return Schedule(strength, end_percent=end, schedule_by="step")


def blocks_of(pipe):
    """Each block with the names of its streams, in the order in which they run."""
    whole = pipe.transformer
    lists = ("layers", "blocks", "transformer_blocks", "single_transformer_blocks")
    streams = {"layers": ("x",), "blocks": HIDDEN[:1]}
    return [
        (block, streams.get(name, HIDDEN)) for name in lists for block in getattr(whole, name, ())
    ]


def taken(names, args, kwargs):
    return [args[place] if place < len(args) else kwargs[n] for place, n in enumerate(names)]


def unpacked(names, result):
    return [result] if len(names) == 1 else list(result)[::-1]


def packed(names, streams):
    return streams[0] if len(names) == 1 else tuple(streams[::-1])


@contextmanager
def lerped(pipe, first, last, lam, rows=slice(None)):
    """The blend by its formula, with hooks on the first and the last block of the range."""
    (opening, names), (closing, _) = blocks_of(pipe)[first], blocks_of(pipe)[last]
    kept = []

    def before(_block, args, kwargs):
        kept[:] = [h.clone() for h in taken(names, args, kwargs)]

    def after(_block, _args, _kwargs, result):
        mixed = []
        for out, h in zip(unpacked(names, result), kept, strict=True):
            blended = None if out is None else out.clone()
            if out is not None:
                blended[rows] = torch.lerp(out[rows], h[rows], lam)
            mixed.append(blended)
        return packed(names, mixed)

    hooks = [
        opening.register_forward_pre_hook(before, with_kwargs=True),
        closing.register_forward_hook(after, with_kwargs=True),
    ]
    yield
    for hook in hooks:
        hook.remove()


@contextmanager
def counted(pipe):
    """How many modules ran in each block."""
    ran = [0] * len(blocks_of(pipe))

    def note(place):
        def noted(*_):
            ran[place] += 1

        return noted

    with ExitStack() as hooks:
        for place, (block, _) in enumerate(blocks_of(pipe)):
            for module in block.modules():
                hooks.callback(module.register_forward_hook(note(place)).remove)
        yield ran


@pytest.mark.parametrize(
    ("name", "first", "last"), [(name, *one) for name in MAKE for one in RANGES[name]]
)
@torch.no_grad()
def test_a_run_equals_the_literal_formula(name, first, last):
    pipe, run = build(name)
    plain, blocks = run(), f"{first}-{last}"
    own = [block for block, _ in blocks_of(pipe)]
    with mid_block_bypass(pipe, by_step(0.0), blocks=blocks):
        assert torch.equal(run(), plain)
    for lam in (0.4, 1.0):
        with lerped(pipe, first, last, lam):
            wanted = run()
        bypass = mid_block_bypass(pipe, by_step(lam), blocks=blocks)
        with bypass as coverage, counted(pipe) as ran:
            assert torch.equal(run(), wanted)
        assert coverage.bypassed == coverage.calls > 0
        assert str(coverage.summary()).startswith(f"strength {lam:g}: bypassed blocks {blocks} of")
        idle = [place for place, runs in enumerate(ran) if not runs]
        assert idle == ([*range(first, last + 1)] if lam == 1.0 else [])
        assert not torch.equal(wanted, plain)
    assert [block for block, _ in blocks_of(pipe)] == own
    assert torch.equal(run(), plain)


@pytest.mark.parametrize("name", MAKE)
@torch.no_grad()
def test_an_error_leaves_nothing_behind(name, recwarn):
    pipe, run = build(name)
    plain, own = run(), [block for block, _ in blocks_of(pipe)]

    def fail(*_):
        raise torch.OutOfMemoryError("in the middle")

    hook = own[2].register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError), mid_block_bypass(pipe, by_step(0.5)):
        run()
    hook.remove()
    assert not [one for one in recwarn if "silenced" in str(one.message)]
    assert [block for block, _ in blocks_of(pipe)] == own
    assert torch.equal(run(), plain)


@pytest.mark.parametrize(("apply_to", "half"), [("uncond", 0), ("cond", 1)])
@torch.no_grad()
def test_rows_of_one_half_of_sd3(apply_to, half):
    pipe, run = build("sd3")
    with lerped(pipe, 1, 2, 0.4, rows=slice(half, half + 1)):
        wanted = run()
    with mid_block_bypass(pipe, by_step(0.4), blocks="1-2", apply_to=apply_to):
        assert torch.equal(run(), wanted)


@torch.no_grad()
def test_skip_layer_guidance_calls_with_the_prompt_alone():
    pipe, run = build("sd3")
    given = {"skip_guidance_layers": [0], "skip_layer_guidance_stop": 1.0}
    plain = run(**given)
    with mid_block_bypass(pipe, by_step(), blocks="1-2", apply_to="uncond") as coverage:
        changed = run(**given)
    assert (coverage.calls, coverage.bypassed) == (7, 4)  # 3 of them are its own
    assert not torch.equal(changed, plain)
    with guidance_relief(pipe, by_step()) as coverage:
        run(**given)
    assert (coverage.relieved, coverage.unguided) == (4, 3)


@torch.no_grad()
def test_relief_of_sd3_computes_the_prompt_alone():
    pipe, run = build("sd3")

    def instead(_model, _args, _kwargs, output):
        negative, prompt = output[0].chunk(2)
        assert not torch.equal(negative, prompt)
        return (torch.cat([prompt, prompt]),)

    hook = pipe.transformer.register_forward_hook(instead, with_kwargs=True)
    wanted = run()
    hook.remove()
    with guidance_relief(pipe, by_step()) as coverage:
        torch.testing.assert_close(run(), wanted)
    assert (coverage.relieved, coverage.saved) == (4, 4)


@pytest.mark.parametrize("strength", [0.5, 1.0])
@torch.no_grad()
def test_relief_of_flux_is_another_scale_for_its_model(strength):
    pipe, run = build("flux")
    wanted = run(guidance_scale=1.0 + 2.5 * (1.0 - strength))
    with guidance_relief(pipe, by_step(strength)) as coverage:
        assert torch.equal(run(guidance_scale=3.5), wanted)
    assert (coverage.embedded, coverage.calls) == (4, 4)
    assert not torch.equal(run(guidance_scale=3.5), wanted)


@torch.no_grad()
def test_fade_of_sd3_replaces_the_text_and_the_pooled_one():
    pipe, run = build("sd3")
    seen = []

    def replace(_model, args, kwargs):
        for name in ("encoder_hidden_states", "pooled_projections"):
            negative = kwargs[name][:1]
            seen.append(torch.equal(negative, kwargs[name][1:]))
            kwargs[name] = torch.cat([negative, negative])
        return args, kwargs

    hook = pipe.transformer.register_forward_pre_hook(replace, with_kwargs=True)
    wanted = run()
    hook.remove()
    with prompt_fade(pipe, by_step()) as coverage:
        assert torch.equal(run(), wanted)
    assert coverage.faded == 4 and not any(seen)
    with prompt_fade(pipe, by_step(), toward="noise") as coverage:
        assert not torch.equal(run(), wanted)


def shifted(progress, shift=3.0):
    """The sigma at a progress of the model's own schedule, between 1,000 entries."""
    share = (1.0 - progress) * 0.999 + 0.001
    return shift * share / (1 + (shift - 1) * share)


@pytest.mark.parametrize("name", ["sd3", "z_image", "wan"])
@torch.no_grad()
def test_the_window_by_sigma_lies_in_the_shifted_schedule(name):
    pipe, run = build(name)
    schedule = Schedule(1.0, end_percent=0.3)
    calls = 2 if name == "wan" else 1  # a step
    with mid_block_bypass(pipe, schedule) as coverage:
        run(num_inference_steps=12)
    inside = sum(float(sigma) > shifted(0.3) for sigma in pipe.scheduler.sigmas[:-1])
    assert coverage.bypassed == calls * inside
    assert 1 < inside < 11


@torch.no_grad()
def test_by_step_the_window_is_a_share_of_the_run():
    for name in ("flux", "wan"):
        pipe, run = build(name)
        with mid_block_bypass(pipe, by_step(end=0.5)) as coverage:
            run(num_inference_steps=8)
        assert coverage.bypassed == coverage.calls / 2 == (8 if name == "wan" else 4)


@torch.no_grad()
def test_both_models_of_wan_are_bypassed():
    pipe, run = build("wan", two=True)
    with mid_block_bypass(pipe, by_step(), blocks="1-2") as coverage, counted(pipe) as ran:
        run()
    assert (coverage.calls, coverage.bypassed) == (8, 8)
    assert ran[1:3] == [0, 0] and ran[0]
    pipe.transformer_2.blocks = pipe.transformer_2.blocks[:2]
    with (
        pytest.raises(ValueError, match="WanTransformer3DModel has 2 blocks"),
        mid_block_bypass(pipe, by_step(), blocks="1-2"),
    ):
        pass


@torch.no_grad()
def test_a_bare_transformer_is_given_its_scheduler():
    pipe, run = build("sd3")
    with mid_block_bypass(pipe, by_step(0.4)):
        wanted = run()
    bypass = mid_block_bypass(pipe.transformer, by_step(0.4), scheduler=pipe.scheduler)
    with bypass as coverage:
        assert torch.equal(run(), wanted)
    assert coverage.bypassed == 4


REFUSED = [
    ("flux", {"schedule": Schedule()}, "chooses its shift for each size of picture"),
    ("flux", {"apply_to": "cond"}, "FluxPipeline does not tell which rows are conditioned"),
    ("z_image", {"apply_to": "uncond"}, "ZImagePipeline does not tell which rows"),
    ("wan", {"blocks": "3-4"}, "blocks is 3-4; WanTransformer3DModel has 4 blocks, 0 to 3"),
    ("qwen", {"blocks": "2-1"}, "which is reversed; QwenImageTransformer2DModel has 4 blocks"),
]


@pytest.mark.parametrize(("name", "given", "told"), REFUSED)
def test_what_cannot_be_done_is_refused(name, given, told):
    pipe, _ = build(name)
    given = {"schedule": by_step(), **given}
    with pytest.raises(ValueError, match=told), mid_block_bypass(pipe, **given):
        pass


def test_models_of_other_families_are_refused_by_name():
    model = LTXVideoTransformer3DModel(
        num_attention_heads=2, attention_head_dim=8, num_layers=2, caption_channels=16
    )
    with (
        pytest.raises(ValueError, match="LTXVideoTransformer3DModel cannot be bypassed: its trans"),
        mid_block_bypass(model, by_step()),
    ):
        pass
    with (
        pytest.raises(ValueError, match="does not tell where in the run it is; pass scheduler"),
        mid_block_bypass(build("wan")[0].transformer, by_step()),
    ):
        pass


# --- the table of the docs -------------------------------------------------------------------


def works(make):
    """Whether a way can be opened."""
    try:
        with make():
            return True
    except ValueError:
        return False


def line(name):
    """What the docs have to say of a pipeline; each cell is compared above with its definition."""
    pipe, _ = build(name)
    relief = works(lambda: guidance_relief(pipe, by_step()))
    fade = works(lambda: prompt_fade(pipe, by_step()))
    halves = works(lambda: mid_block_bypass(pipe, by_step(), apply_to="cond"))
    by_sigma = works(lambda: mid_block_bypass(pipe, Schedule()))
    cells = (
        type(pipe).__name__,
        type(pipe.transformer).__name__,
        ("embedded" if name == "flux" else "yes") if relief else "",
        "negative, noise" if fade else "",
        "both, cond, uncond" if halves else "both",
        "step, sigma" if by_sigma else "step",
    )
    return f"| {' | '.join(cells)} |"


def test_the_docs_say_what_can_be_done():
    table = DOCS.read_text(encoding="utf-8").split("## Transformers")[1].splitlines()
    listed = [row for row in table if row.startswith("| ") and "Pipeline" in row]
    assert listed == sorted(line(name) for name in MAKE)
