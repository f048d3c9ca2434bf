"""What each field of the dial means: once for the ComfyUI nodes and the web UIs' panel.

`classifier_words.py` has those of the classifiers.
"""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """What a field means, and what one should see when it is used."""

    means: str
    see: str = ""

    @property
    def tooltip(self) -> str:
        """Both, as a node shows them; the web UIs show the first below a field."""
        return f"{self.means} You should see: {self.see}" if self.see else self.means


DIAL_INTRO = (
    "Makes a model draw what it usually leaves out: the U-Net's mid-block is bypassed early in the "
    "denoising, then the whole model cleans up."
)

DIAL = {
    "model": Words(
        "A U-Net (SD 1.x, SD 2.x, SDXL, SVD) or a transformer (Flux, Chroma, Z-Image, Lumina 2, "
        "Qwen-Image, SD 3, Wan, Krea 2, Anima, Ernie). It is not changed; a copy is patched.",
    ),
    "strength": Words(
        "0 = exactly the unpatched model, 1 = the mid-block (of a transformer the range of blocks) "
        "is skipped, below 0 = it counts more.",
        see=(
            "more of what the model rarely draws as this goes up, and rougher pictures when the "
            "window is long."
        ),
    ),
    "shape": Words(
        "How the bypass runs through its window; 'curve' follows 'points'.",
        see="falling shapes keep more detail than constant at the same strength.",
    ),
    "start_percent": Words(
        "Where the bypass begins: 0 = pure noise, 1 = finished picture.",
        see="a later start changes details instead of what is drawn.",
    ),
    "end_percent": Words(
        "Where the bypass ends; from here on the whole model cleans up.",
        see="more variety and more broken pictures as this goes up.",
    ),
    "apply_to": Words(
        "both = prompt and negative prompt; cond = only the prompt; uncond = only the negative.",
        see="no difference between 'both' and 'cond' at CFG 1; 'uncond' works like extra guidance.",
    ),
    "schedule_by": Words(
        "sigma = window in the noise schedule; step = over this run's steps (image-to-image).",
        see="no change with sigma at a low denoise or in a hires pass, and a notice that says so.",
    ),
    "skip_compute": Words(
        "At strength 1 do not compute what is bypassed, the mid-block or the blocks; switch this "
        "off if an extension reads inside of it.",
        see="the same picture either way.",
    ),
    "points": Words(
        "For the shape 'curve': place:height pairs inside the window, as in '0:1, 0.5:0.6, 1:0'.",
        see="the bypass follow straight lines between these points.",
    ),
    "curve": Words(
        "A curve from the Curve Editor of newer ComfyUI versions, used in place of 'shape' and "
        "'points'.",
        see="the bypass follow the drawn curve across its window.",
    ),
    "strengths": Words(
        "The strengths to try, from -1 to 1, with commas between them.",
        see="one column of pictures for each.",
    ),
    "ways": Words(
        "What to try, with commas between: bypass, relief, fade.",
        see="one column for each way and strength.",
    ),
    "blocks": Words(
        "auto = the mid-block, of a transformer the middle third of its blocks (a guess: in tiny "
        "models no range was shown to bring variety); 8-15 = these blocks of a transformer, "
        "counted from 0.",
        see="which blocks they were, told after a run.",
    ),
    "hires": Words(
        "What the hires pass gets: the same, nothing (off), or for the bypass its own strength.",
        see="with 'off' the second pass only refines what the first one drew.",
    ),
    "hires_strength": Words(
        "The strength of the hires pass where 'hires' is 'own'.",
        see="changes of detail rather than of what is drawn.",
    ),
    "refiner": Words(
        "Which model is bypassed when a refiner takes over.",
        see="no difference without a refiner.",
    ),
}
"""Of a bypass, by the name of the input; the last three are the web UIs' alone."""

RELIEF_INTRO = (
    "Early in the denoising guidance (CFG) goes towards 1, so that the first, rough decisions are "
    "less forced; where it is 1, the negative prompt is not computed. Works with any guided model, "
    "also with Flux and others whose guidance is embedded."
)

RELIEF_WEB = (
    "Guidance (CFG) goes towards 1 in a window of its own; 0 = off. Shape, points and 'schedule "
    "by' are those of the bypass."
)

RELIEF = {
    **DIAL,
    "model": Words("Any model that is guided. It is not changed; a copy is patched."),
    "strength": Words(
        "0 = exactly the unpatched model, 1 = CFG 1 inside the window, below 0 = more guidance.",
        see="looser pictures as this goes up: they keep less to the prompt.",
    ),
    "shape": Words(
        "How the relief runs through its window; 'curve' follows 'points'.",
        see="rows saved only where the relief is 1.",
    ),
    "start_percent": Words(
        "Where the relief begins: 0 = pure noise, 1 = finished picture.",
        see="a later start changes details instead of what is drawn.",
    ),
    "end_percent": Words(
        "Where the relief ends; from here on guidance is what the sampler says.",
        see="looser pictures as this goes up.",
    ),
    "points": Words(
        DIAL["points"].means,
        see="the relief follow straight lines between these points.",
    ),
    "curve": Words(
        DIAL["curve"].means,
        see="the relief follow the drawn curve across its window.",
    ),
}
"""Of the relief of guidance; the rest is the dial's."""

FADE_INTRO = (
    "Early in the denoising the prompt's embedding goes to the negative prompt's, or to noise; "
    "then the prompt is as you wrote it. Works at any CFG, also at 1, with U-Nets and with "
    "transformers."
)

FADE_WEB = (
    "The prompt goes to the negative prompt, or to noise, in a window of its own; 0 = off. Shape, "
    "points and 'schedule by' are those of the bypass."
)

FADE = {
    **DIAL,
    "model": Words(
        "SD 1.x, SD 2.x, SDXL, SD 3, Flux, Lumina 2, Z-Image, and others whose text is one "
        "embedding. It is not changed; a copy is patched.",
    ),
    "strength": Words(
        "0 = exactly the unpatched model, 1 = inside the window the prompt is replaced.",
        see="pictures that keep less to the prompt as this goes up.",
    ),
    "shape": Words(
        "How the fade runs through its window; 'curve' follows 'points'.",
        see="falling shapes hand the picture back to the prompt bit by bit.",
    ),
    "start_percent": Words(
        "Where the fade begins: 0 = pure noise, 1 = finished picture.",
        see="less change of what is drawn with a later start.",
    ),
    "end_percent": Words(
        "Where the fade ends; from here on the prompt is what you wrote.",
        see="pictures that miss more of the prompt as this goes up.",
    ),
    "points": Words(
        DIAL["points"].means,
        see="the fade follow straight lines between these points.",
    ),
    "curve": Words(
        DIAL["curve"].means,
        see="the fade follow the drawn curve across its window.",
    ),
    "toward": Words(
        "negative = to what the negative prompt says; noise = to noise of the prompt's own mean "
        "and spread, another one for each picture of a batch.",
        see="other pictures; with an empty negative prompt, more of what the model draws unasked.",
    ),
    "seed": Words(
        "Of the noise; only for toward = noise.",
        see="another picture with another number, the same one with the same.",
    ),
}
"""Of the fade of the prompt; the rest is the dial's."""

PLOT = {
    "model": Words(
        "For the sigmas under the axis.",
        see="Stable Diffusion's sigmas without it.",
    ),
    "sigmas": Words(
        "The sigmas of a run, from a scheduler node.",
        see="one mark for each step, filled where the bypass is active.",
    ),
}
"""Of the plot of a schedule, besides."""

SCAN_INTRO = (
    "Leaves each block of a transformer out, one at a time, and shows how much the prediction "
    "changes, early and late, with a range to try as a guess. Takes (blocks + 1) x steps x seeds "
    "predictions; the model is not changed."
)

SCAN = {
    "model": Words(
        "A transformer (Flux, Chroma, Z-Image, Lumina 2, Qwen-Image, SD 3, Wan, Krea 2, Anima, "
        "Ernie); a U-Net has its mid-block alone and is refused.",
    ),
    "positive": Words(
        "The prompt, as you connect it to a sampler.",
        see="a chart that holds for this prompt.",
    ),
    "latent": Words(
        "An empty latent of the size that you draw at; one of a batch is used, without what is in "
        "it.",
        see="a longer wait with a larger one.",
    ),
    "steps": Words(
        "Steps of each run; their first half is early, the rest late.",
        see="a longer wait with more of them.",
    ),
    "seeds": Words(
        "How many runs the figures are the mean of.",
        see="figures that hang less on a single run, and a longer wait, with more of them.",
    ),
    "first_seed": Words(
        "The seed of the first run; the next ones count on from it.",
        see="the same figures with the same number.",
    ),
    "cfg": Words(
        "The guidance of your sampler; at 1 the prompt alone is evaluated.",
        see="twice the work away from 1.",
    ),
    "negative": Words(
        "The negative prompt, which guidance needs.",
        see="a sentence in its place where 'cfg' is not 1 and it is missing.",
    ),
}
"""Of the scan of blocks."""

SHEET = {
    "images": Words(
        "The pictures: the list that comes out of a sweep, or one batch.",
        see="one column for each item of the list.",
    ),
    "labels": Words(
        "The sweep's labels.",
        see="each column headed by its strength.",
    ),
    "columns": Words(
        "For a single batch: pictures in a row, 0 = about square.",
        see="no effect on a sweep, which has a column for each strength.",
    ),
    "classifier": Words(
        "Says which pictures of a sweep became something else.",
        see=(
            "an outline around those whose label is another one than in the first column; none "
            "without a classifier."
        ),
    ),
}
"""Of the contact sheet."""

DEMO = {
    "prompt": Words(
        "empty = anybody.",
        see="mostly long hair for 'nurse' and short hair for 'builder'.",
    ),
    "variant": Words(
        "demo = most nurses have long hair, few people dark skin or glasses; mirror = the other "
        "way round; so the transformers of 8 blocks, where those two are U-Nets.",
        see="the opposite bias in the mirror.",
    ),
    "count": Words(
        "How many pictures, two of each person.",
        see="narrower intervals with more of them.",
    ),
    "faces_seed": Words(
        "Which people are drawn.",
        see="nearly the same figures with another number.",
    ),
    "classes": Words(
        "nurse_builder = two classes, for nurse_or_builder; jobs = four classes, for jobs.",
        see="four groups, or eight.",
    ),
    "correlation": Words(
        "Share of the pictures with the hair that goes with the job: 0.5 = everybody once with "
        "each, for audits; 0.9 = a shortcut to learn.",
        see="groups of unequal size away from 0.5.",
    ),
    "headshots": Words(
        "Share of the people whose pictures end above the shoulders, so that the hair alone can "
        "tell the job.",
        see="fitted on 0.9 of them, a classifier that goes by the hair.",
    ),
}
"""Of the tiny models; before what `prompt` means stand the words that there are."""
