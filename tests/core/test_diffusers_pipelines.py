"""Every pipeline of diffusers with a U-Net: run with tiny random parts, or refused by a sentence.

docs/diffusers.md shows what is found here, line by line.
"""

from pathlib import Path

import diffusers_zoo as zoo
import pytest
import torch
from torch import nn

from detour.diffusers import guidance_relief, mid_block_bypass, prompt_fade
from detour.diffusers_rows import PAIR
from detour.schedule import Schedule

WHOLE = Schedule(1.0, end_percent=1.0, schedule_by="step")
BY_SIGMA = Schedule(1.0, end_percent=1.0)
READ = {  # their attention processors read in the mid-block, so that it runs at strength 1 too
    "StableDiffusionAttendAndExcitePipeline",
    "StableDiffusionSAGPipeline",
    "TextToVideoZeroPipeline",
}
DOCS = Path(__file__).parents[2] / "docs" / "diffusers.md"


def holder(pipe):
    mid = pipe.unet.mid_block
    return (mid, "base_midblock") if hasattr(mid, "base_midblock") else (pipe.unet, "mid_block")


class Counts:
    """How often a pipeline's U-Net and its mid-block ran."""

    def __init__(self, pipe):
        self.pipe, self.unet, self.mid = pipe, 0, 0

    def __enter__(self):
        where, name = holder(self.pipe)
        layer = next(one for one in getattr(where, name).modules() if not list(one.children()))
        self.hooks = [
            self.pipe.unet.register_forward_hook(lambda *_: setattr(self, "unet", self.unet + 1)),
            layer.register_forward_hook(lambda *_: setattr(self, "mid", self.mid + 1)),
        ]
        return self

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()


def opened(pipe, schedule=WHOLE, **more):
    """None if the bypass can be opened, else the sentence of the refusal."""
    try:
        with mid_block_bypass(pipe, schedule, **more):
            return None
    except ValueError as error:
        return str(error)


def at_first_call(pipe, run, schedule):
    """The sentence of a refusal that comes before the U-Net ran; None if the run is bypassed."""
    with Counts(pipe) as counts, mid_block_bypass(pipe, schedule):
        try:
            run()
        except ValueError as error:
            assert counts.mid == 0
            return str(error)
    return None


def prompts_rows(args, kwargs):
    """Which rows of a U-Net call carry the prompt, by the content of their embeddings (all
    ones; a picture's, of which the negative is zero)."""
    words = kwargs.get("encoder_hidden_states", args[2] if len(args) > 2 else None)
    if words is None:
        words = kwargs["added_cond_kwargs"]["image_embeds"]
    if torch.equal(words.abs(), torch.ones_like(words)):
        return (words > 0).flatten(1).all(1)
    return (words != 0).flatten(1).any(1)


def literally(pipe, run, apply_to):
    """The definition, written over the mid-block by hand; the rows told by their embeddings."""
    where, name = holder(pipe)
    forward, rows, seen = getattr(where, name).forward, [], []

    def note(_unet, args, kwargs):
        rows[:] = [prompts_rows(args, kwargs)]
        seen.append(rows[0].tolist())

    def blended(*args, **kwargs):
        h = args[0] if args else kwargs["hidden_states"]
        out = forward(*args, **kwargs)
        chosen = rows[0] if apply_to == "cond" else ~rows[0]
        chosen = chosen.repeat_interleave(len(h) // len(chosen)).view(-1, *[1] * (h.ndim - 1))
        return torch.where(chosen, h, out)

    hook = pipe.unet.register_forward_pre_hook(note, with_kwargs=True)
    getattr(where, name).forward = blended
    try:
        return zoo.flat(run()), seen
    finally:
        del getattr(where, name).forward
        hook.remove()


def written(name, bypass, relief="", fade="", apply_to="", by=""):
    """The line of the table, as it has to stand in the docs."""
    return f"| {' | '.join((name, bypass, relief, fade, apply_to, by))} |"


def listed():
    return [
        line
        for line in DOCS.read_text(encoding="utf-8").split("## Transformers")[0].splitlines()
        if line.startswith("| ") and "Pipeline" in line
    ]


def outcome(name):
    """What happened to a pipeline: its line for the table; asserts on the way."""
    try:
        pipe, run = zoo.make(name)
    except zoo.NotRun as reason:
        return written(name, f"not tried: {reason}")
    refused = opened(pipe), opened(pipe, BY_SIGMA)
    if all(refused):
        assert len(refused[0]) < 600
        more = (relieved(pipe, run), faded(pipe, run)) if hasattr(pipe, "unet") else ()
        return written(name, "refused: " + zoo.why_refused(refused[0]), *more)
    by = [word for word, no in zip(("step", "sigma"), refused, strict=True) if not no]
    schedule = BY_SIGMA if "sigma" in by else WHOLE
    refusal = at_first_call(pipe, run, schedule)
    if refusal:
        return written(name, "refused: " + zoo.why_refused(refusal))
    plain = zoo.flat(run())
    assert torch.equal(zoo.flat(run()), plain) and torch.isfinite(plain.double()).all()
    fires(pipe, run, plain, schedule)
    rows = "both"
    if opened(pipe, schedule, apply_to="cond") is None:
        tells_rows(pipe, run, plain, schedule)
        rows = "both, cond, uncond"
    more = relieved(pipe, run), faded(pipe, run)
    return written(name, "runs", *more, rows, ", ".join(by))


def relieved(pipe, run):
    """The cell for Guidance Relief, which is compared with its definition over rows that are told
    by their embeddings: what the prompt gives stands in the negative prompt's place."""
    try:
        with guidance_relief(pipe, WHOLE):
            pass
    except ValueError:
        return ""
    guided = []

    def instead(_unet, args, kwargs, output):
        rows = prompts_rows(args, kwargs)[:: frames(args, kwargs)]
        guided.append(not rows.all())
        out = output[0].clone()
        out[~rows] = out[rows][: (~rows).sum()]
        return (out,) if isinstance(output, tuple) else type(output)(sample=out)

    hook = pipe.unet.register_forward_hook(instead, with_kwargs=True)
    expected = zoo.flat(run())
    hook.remove()
    with guidance_relief(pipe, WHOLE) as coverage:
        found = zoo.flat(run())
    if not any(guided):
        assert coverage.embedded > 0 or "Nothing was relieved" in coverage.missed()
        return "embedded" if coverage.embedded else "yes"
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    in_pair = any(kind.__name__ in PAIR for kind in type(pipe).__mro__)
    assert (coverage.relieved, coverage.saved > 0) == (coverage.calls, in_pair)
    return "yes" if in_pair else "yes, 0 rows saved"


def frames(args, kwargs):
    """How many rows of the text there are for one of the batch."""
    words = kwargs.get("encoder_hidden_states", args[2] if len(args) > 2 else None)
    return 1 if words is None else len(words) // len(args[0] if args else kwargs["sample"])


def faded(pipe, run):
    """The cell for Prompt Fade, which is compared with the text replaced by hand."""
    try:
        with prompt_fade(pipe, WHOLE):
            pass
    except ValueError:
        return ""

    def replace(_unet, args, kwargs):
        rows, given = prompts_rows(args, kwargs), list(args)
        there = kwargs if "encoder_hidden_states" in kwargs else given
        words = there[2 if there is given else "encoder_hidden_states"].clone()
        words[rows] = words[~rows][:1]
        there[2 if there is given else "encoder_hidden_states"] = words
        pooled = kwargs.get("added_cond_kwargs") or {}
        if "text_embeds" in pooled:
            text = pooled["text_embeds"]
            kwargs["added_cond_kwargs"] = {**pooled, "text_embeds": text[:1].expand_as(text)}
        return tuple(given), kwargs

    toward, seen = "negative", []
    note = pipe.unet.register_forward_pre_hook(
        lambda _unet, args, kwargs: seen.append(prompts_rows(args, kwargs).all()), with_kwargs=True
    )
    plain = zoo.flat(run())
    note.remove()
    if all(seen):
        toward = "noise"
    else:
        hook = pipe.unet.register_forward_pre_hook(replace, with_kwargs=True)
        expected = zoo.flat(run())
        hook.remove()
    with prompt_fade(pipe, WHOLE, toward=toward) as coverage:
        found = zoo.flat(run())
    assert coverage.faded == coverage.calls > 0
    if toward == "noise":
        assert not torch.equal(found, plain) or torch.isfinite(found.double()).all()
        return "noise"
    assert torch.equal(found, expected)
    return "negative, noise"


def fires(pipe, run, plain, schedule):
    with Counts(pipe) as counts:
        run()
    calls = counts.unet
    assert 0 < calls == counts.mid
    zero = Schedule(0.0, end_percent=1.0, schedule_by=schedule.schedule_by)
    with mid_block_bypass(pipe, zero) as coverage:
        assert torch.equal(zoo.flat(run()), plain)
    assert (coverage.calls, coverage.bypassed) == (calls, 0)
    with Counts(pipe) as counts, mid_block_bypass(pipe, schedule) as coverage:
        changed = zoo.flat(run())
    assert (coverage.calls, coverage.bypassed) == (calls, calls)
    assert counts.mid == (calls if pipe.__class__.__name__ in READ else 0)
    assert not torch.equal(changed, plain)
    assert isinstance(getattr(*holder(pipe)), nn.Module)
    assert torch.equal(zoo.flat(run()), plain)


def tells_rows(pipe, run, plain, schedule):
    for apply_to in ("cond", "uncond"):
        expected, seen = literally(pipe, run, apply_to)
        with mid_block_bypass(pipe, schedule, apply_to=apply_to):
            found = zoo.flat(run())
        assert torch.equal(found, expected), (apply_to, seen[0])
        guided = len(set(seen[0])) == 2
        assert guided or not pipe.do_classifier_free_guidance
        assert torch.equal(found, plain) is (apply_to == "uncond" and not guided)


USUAL = {
    *("AnimateDiffPipeline", "DDPMPipeline", "StableDiffusionControlNetXSPipeline"),
    *("StableDiffusionInstructPix2PixPipeline", "StableDiffusionPAGPipeline"),
    *("StableDiffusionPanoramaPipeline", "StableDiffusionPipeline", "StableDiffusionSAGPipeline"),
    *("StableDiffusionXLPipeline", "StableVideoDiffusionPipeline"),
}
"""One of each kind of loop; `dev.py test --long` runs the others too."""
PIPELINES = [
    pytest.param(name, marks=() if name in USUAL else pytest.mark.long) for name in zoo.with_unet()
]


@pytest.mark.parametrize("name", PIPELINES)
@torch.no_grad()
def test_runs_or_is_refused_as_the_docs_say(name):
    assert outcome(name) in listed()


def test_the_docs_list_every_pipeline_that_diffusers_ships():
    assert [line.split(" | ")[0].strip("| ") for line in listed()] == zoo.with_unet()
