"""Which rows of a diffusers pipeline's batch belong to the prompt.

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


def require_known_rows(pipe: Any) -> None:
    """Raise ValueError with a sentence for a pipeline, or a bare U-Net, of unknown rows."""
    if _loop(pipe) is None:
        raise ValueError(
            f"{pipe.__class__.__name__} does not tell which rows are conditioned, so cond and "
            "uncond cannot be told apart; use apply_to = both."
        )


def conditioned(pipe: Any, rows: int) -> list[bool]:
    """For each row of a pipeline's batch whether it belongs to the prompt.

    pipe: a pipeline in the middle of its run (its guidance is read from it); rows: of the
    batch. Raises ValueError for unknown pipelines and for batches that do not fit the order.
    """
    require_known_rows(pipe)
    loop, guided = _loop(pipe), bool(pipe.do_classifier_free_guidance)
    if loop in IMAGE_PAIR:
        chunks = [True, False, False] if guided else [True]
    else:
        perturbed = loop in PERTURBED and bool(pipe.do_perturbed_attention_guidance)
        chunks = [False] * guided + [True] * (1 + perturbed)
    each, left = divmod(rows, len(chunks))
    if left:
        raise ValueError(
            f"A batch of {rows} rows does not fit the {len(chunks)} chunks of "
            f"{pipe.__class__.__name__}; use apply_to = both."
        )
    return [chunk for chunk in chunks for _ in range(each)]


def _loop(pipe: Any) -> str | None:
    """The name of diffusers' class whose loop the pipeline runs; None if its rows are unknown."""
    for kind in pipe.__class__.__mro__:
        if "__call__" in vars(kind):
            own = kind.__module__.startswith("diffusers.")
            known = own and kind.__name__ in PAIR | PERTURBED | IMAGE_PAIR
            return kind.__name__ if known else None
    return None
