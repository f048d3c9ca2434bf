"""Whose the rows of a diffusers pipeline's batch are: the prompt's, the negative prompt's, others'.

A batch does not say so itself; the loop that made it knows. So the order is kept here by the
class whose `__call__` holds the loop: a pipeline that inherits the loop has the order with it,
one with a loop of its own is unknown and refused. Read in diffusers 0.39 and held by a test
that tells the rows apart by their embeddings.
"""

from __future__ import annotations

from typing import Any

PAIR = frozenset(
    """
    AltDiffusionPipeline AltDiffusionImg2ImgPipeline
    AnimateDiffPipeline AnimateDiffControlNetPipeline AnimateDiffSDXLPipeline
    AnimateDiffSparseControlNetPipeline AnimateDiffVideoToVideoPipeline
    AnimateDiffVideoToVideoControlNetPipeline I2VGenXLPipeline PIAPipeline
    Kandinsky3Pipeline Kandinsky3Img2ImgPipeline
    KandinskyV22Pipeline KandinskyV22Img2ImgPipeline KandinskyV22InpaintPipeline
    KolorsPipeline KolorsImg2ImgPipeline
    LatentConsistencyModelPipeline LatentConsistencyModelImg2ImgPipeline
    StableDiffusionPipeline StableDiffusionImg2ImgPipeline StableDiffusionInpaintPipeline
    StableDiffusionDepth2ImgPipeline StableDiffusionLDM3DPipeline StableDiffusionAdapterPipeline
    StableDiffusionControlNetPipeline StableDiffusionControlNetImg2ImgPipeline
    StableDiffusionControlNetInpaintPipeline StableDiffusionControlNetXSPipeline
    StableDiffusionXLPipeline StableDiffusionXLImg2ImgPipeline StableDiffusionXLInpaintPipeline
    StableDiffusionXLAdapterPipeline StableDiffusionXLControlNetPipeline
    StableDiffusionXLControlNetImg2ImgPipeline StableDiffusionXLControlNetInpaintPipeline
    StableDiffusionXLControlNetUnionPipeline StableDiffusionXLControlNetUnionImg2ImgPipeline
    StableDiffusionXLControlNetUnionInpaintPipeline StableDiffusionXLControlNetXSPipeline
    StableDiffusion3Pipeline StableDiffusion3Img2ImgPipeline StableDiffusion3InpaintPipeline
    StableVideoDiffusionPipeline
    """.split()
)
"""While guidance is on [uncond, cond], else cond alone."""

PERTURBED = frozenset(
    """
    AnimateDiffPAGPipeline KolorsPAGPipeline
    StableDiffusionPAGPipeline StableDiffusionPAGImg2ImgPipeline StableDiffusionPAGInpaintPipeline
    StableDiffusionControlNetPAGPipeline StableDiffusionControlNetPAGInpaintPipeline
    StableDiffusionXLPAGPipeline StableDiffusionXLPAGImg2ImgPipeline
    StableDiffusionXLPAGInpaintPipeline StableDiffusionXLControlNetPAGPipeline
    StableDiffusionXLControlNetPAGImg2ImgPipeline
    """.split()
)
"""As `PAIR`, and while attention is perturbed once more cond, with the perturbed attention."""

IMAGE_PAIR = frozenset({"StableDiffusionInstructPix2PixPipeline"})
"""While guidance is on [cond, picture alone, uncond]: the prompt is in the first chunk only."""

WITHOUT_TEXT = frozenset(
    """
    KandinskyV22Pipeline KandinskyV22Img2ImgPipeline KandinskyV22InpaintPipeline
    StableVideoDiffusionPipeline
    """.split()
)
"""Their models are given a picture's embedding and no text."""

EMBEDDED = frozenset({"FluxPipeline", "FluxImg2ImgPipeline", "FluxKontextPipeline"})
"""Their models read a scale of guidance, and each call is given one kind of row: the prompt's, or,
with a true CFG besides, the negative prompt's, which does not say so."""

MASKED_TEXT = frozenset({"Kandinsky3Pipeline", "Kandinsky3Img2ImgPipeline"})
"""Prompt and negative prompt count other tokens of theirs."""

NEGATIVE, PROMPT, PERTURBED_PROMPT, PICTURE = "negative", "prompt", "perturbed", "picture"


def require_known_rows(pipe: Any) -> None:
    """Raise ValueError with a sentence for a pipeline, or a bare U-Net, of unknown rows."""
    if _loop(pipe) is None:
        raise ValueError(
            f"{pipe.__class__.__name__} does not tell which rows are conditioned, so cond and "
            "uncond cannot be told apart; use apply_to = both."
        )


def require_relief(pipe: Any) -> None:
    """Raise ValueError with a sentence where the guidance of a pipeline cannot be relieved."""
    if has_own_guidance(pipe):
        return
    _require_loop(pipe, "Guidance Relief")
    if _loop(pipe) in IMAGE_PAIR:
        raise ValueError(
            f"{pipe.__class__.__name__} has two scales of guidance for three predictions, so that "
            "Guidance Relief cannot tell which one goes to 1; use another way here."
        )


def require_fade(pipe: Any) -> None:
    """Raise ValueError with a sentence where the prompt of a pipeline cannot be faded."""
    _require_loop(pipe, "Prompt Fade")
    name = pipe.__class__.__name__
    if _loop(pipe) in WITHOUT_TEXT:
        raise ValueError(f"{name} gives its model no text that Prompt Fade could fade.")
    if _loop(pipe) in MASKED_TEXT:
        raise ValueError(
            f"In {name} prompt and negative prompt have masks of their own, between which Prompt "
            "Fade has no way; use another way here."
        )


def _require_loop(pipe: Any, way: str) -> None:
    if _loop(pipe) is None:
        raise ValueError(
            f"{way} cannot be used with {pipe.__class__.__name__}, which does not tell which rows "
            "are the prompt's; docs/diffusers.md lists the pipelines that do."
        )


def has_own_guidance(pipe: Any) -> bool:
    """Whether a pipeline hands the scale of guidance to its model; see `EMBEDDED`."""
    return _loop(pipe, EMBEDDED) is not None


def may_lose_rows(pipe: Any) -> bool:
    """Whether a pipeline's U-Net works on the prompt's rows alone. The processors of perturbed
    attention count the chunks."""
    return _loop(pipe) in PAIR


def chunk_roles(pipe: Any, rows: int) -> list[str]:
    """What each of the equal chunks of a pipeline's batch is.

    pipe: a pipeline in the middle of its run (its guidance is read from it); rows: of the
    batch. Raises ValueError for unknown pipelines and for batches that do not fit the order.
    """
    if has_own_guidance(pipe):
        return [PROMPT]
    require_known_rows(pipe)
    loop, guided = _loop(pipe), bool(pipe.do_classifier_free_guidance)
    if loop in IMAGE_PAIR:
        roles = [PROMPT, PICTURE, NEGATIVE] if guided else [PROMPT]
    else:
        perturbed = loop in PERTURBED and bool(pipe.do_perturbed_attention_guidance)
        roles = [NEGATIVE] * guided + [PROMPT] + [PERTURBED_PROMPT] * perturbed
    if rows % len(roles):
        raise ValueError(
            f"A batch of {rows} rows does not fit the {len(roles)} chunks of "
            f"{pipe.__class__.__name__}; use apply_to = both."
        )
    return roles


def is_prompt(role: str) -> bool:
    """Whether a chunk carries the prompt."""
    return role in (PROMPT, PERTURBED_PROMPT)


def _loop(pipe: Any, known: frozenset[str] = PAIR | PERTURBED | IMAGE_PAIR) -> str | None:
    """The name of diffusers' class whose loop the pipeline runs; None if it is not a known one."""
    for kind in pipe.__class__.__mro__:
        if "__call__" in vars(kind):
            own = kind.__module__.startswith("diffusers.")
            return kind.__name__ if own and kind.__name__ in known else None
    return None
