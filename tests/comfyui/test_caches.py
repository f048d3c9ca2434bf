"""Beside the host's EasyCache and LazyCache, which answer some calls without the U-Net: what is
said is what really ran."""

from __future__ import annotations

import pytest
import torch

STEPS = 12


def with_cache(lab, model, kind: str, threshold: float):
    """The MODEL with one of the two; the higher the threshold, the fewer calls run."""
    node = lab.extra_node("nodes_easycache", f"{kind}Node")
    given = {"reuse_threshold": threshold, "start_percent": 0.1, "end_percent": 0.95}
    return node.execute(model=model, verbose=False, **given).result[0]


def runs_of(lab, model) -> tuple[list, object]:
    """A list that gets an entry for each time that the U-Net runs."""
    runs: list = []
    block = lab.unet_of(model).input_blocks[0][0]  # the host loops over the container
    return runs, block.register_forward_hook(lambda *_: runs.append(1))


@pytest.mark.parametrize("order", ["dial_first", "cache_first"])
@pytest.mark.parametrize("kind", ["EasyCache", "LazyCache"])
def test_what_is_said_is_what_ran(lab, kind, order, notices):
    model = lab.tiny("small")
    if order == "dial_first":
        both = with_cache(lab, lab.bypass(model, 0.5, unique_id="7"), kind, 1.0)
    else:
        both = lab.bypass(with_cache(lab, model, kind, 1.0), 0.5, unique_id="7")
    runs, handle = runs_of(lab, model)
    try:
        lab.sample(both, steps=STEPS)
    finally:
        handle.remove()
    assert 0 < len(runs) < STEPS
    ((_, text, missed),) = notices
    said = f"strength 0.5: bypassed {len(runs)} of {len(runs)} model calls"
    if kind == "EasyCache":  # LazyCache does not come as far as to a model call
        said += f"; {STEPS - len(runs)} more came from a cache, without the model"
    assert (text, missed) == (said, False)


@pytest.mark.parametrize("kind", ["EasyCache", "LazyCache"])
def test_pictures_are_those_by_hand(lab, kind):
    model = lab.tiny("small")
    got = lab.sample(with_cache(lab, lab.bypass(model, 0.5), kind, 1.0), steps=STEPS)
    with lab.by_hand(model, lab.lerp(0.5)):
        assert torch.equal(got, lab.sample(with_cache(lab, model, kind, 1.0), steps=STEPS))


def test_another_wrapper_around_the_u_net_changes_no_count(lab, notices):
    """It only has to be asked whether it let the call through."""
    model = lab.tiny("small")
    patched = lab.bypass(model, 0.5, unique_id="7", end_percent=0.5)
    patched.add_wrapper_with_key(
        lab.WrappersMP.DIFFUSION_MODEL,
        "other",
        lambda executor, *given, **named: executor(*given, **named),
    )
    plain = lab.bypass(model, 0.5, end_percent=0.5)
    assert torch.equal(lab.sample(patched, steps=6), lab.sample(plain, steps=6))
    assert notices[0][1].endswith("of 6 model calls")


def test_a_node_that_calls_the_u_net_past_the_wrappers_is_told(lab, reliefs, notices):
    """As DeepCache packs do; what acts in the guider acts all the same."""
    model = lab.tiny("small")

    def own_way(apply, args):
        x, t, base = args["input"], args["timestep"], apply.__self__
        at, when = base.model_sampling.calculate_input(t, x), base.model_sampling.timestep(t)
        given = {"context": args["c"]["c_crossattn"], "transformer_options": {}}
        out = base.diffusion_model(at, when.float(), **given)
        return base.model_sampling.calculate_denoised(t, out, x)

    model.set_model_unet_function_wrapper(own_way)
    both = reliefs.relief(lab.bypass(model, 1.0, unique_id="7"), unique_id="8")
    assert torch.equal(lab.sample(both), lab.sample(model, cfg=1.0))
    told = {node: (text, missed) for node, text, missed in notices}
    assert told["7"][1] and "another node calls this model in a way of its own" in told["7"][0]
    assert told["8"] == ("strength 1: relieved guidance in 4 of 4 evaluations", False)


def test_the_u_net_is_given_what_it_would_have_without_us(lab):
    """Nothing of ours is left in its options, where torch.compile would see it."""
    model = lab.tiny("small")
    seen: list[dict] = []

    def look(executor, x, t, concat, context, control, options, **named):
        seen.append(options)
        return executor(x, t, concat, context, control, options, **named)

    def run(patched):
        patched.add_wrapper_with_key(lab.WrappersMP.APPLY_MODEL, "last", look)
        seen.clear()
        lab.sample(patched, steps=2)
        return [
            (sorted(options), repr(options["wrappers"]), options["callbacks"]) for options in seen
        ]

    plain = run(model.clone())
    assert run(lab.bypass(lab.bypass(model, 0.5), 0.3, end_percent=0.2)) == plain
