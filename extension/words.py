"""What the panel says about each field. For the fields that the ComfyUI node has too, the
words are the node's, except where they speak of nodes."""

INTRO = (
    "Makes a model draw what it usually leaves out. During an early part of the denoising the "
    "U-Net's mid-block is bypassed, so the most common answer loses its grip; then the whole "
    "model cleans up."
)

WORDS = {
    "strength": (
        "How much of the mid-block is bypassed. 0 = exactly the unpatched model, 1 = the "
        "mid-block is skipped, below 0 = it counts more (less variety). You should see: "
        "more of what the model rarely draws as this goes up, and rougher pictures when "
        "the window is long."
    ),
    "shape": (
        "How the bypass runs through its window: constant, rising, falling, a bump, "
        "a soft fall (cosine), or your own curve from 'points'. You should see: "
        "falling shapes keep more detail than constant at the same strength."
    ),
    "start_percent": (
        "Where the bypass begins: 0 = pure noise, 1 = finished picture. A share of the "
        "noise schedule, not of the steps. You should see: a later start changes "
        "details instead of what is drawn."
    ),
    "end_percent": (
        "Where the bypass ends; from here on the whole model cleans up. You should "
        "see: more variety and more broken pictures as this goes up."
    ),
    "apply_to": (
        "both = prompt and negative prompt alike; cond = only the prompt's half; uncond = "
        "only the negative prompt's half, which works like extra guidance. You should "
        "see: no difference between them at CFG 1 for 'both' and 'cond'."
    ),
    "schedule_by": (
        "sigma = the window lies in the model's noise schedule and means the same in every "
        "run. step = the window lies over the steps of this run; take it for "
        "image-to-image and hires passes, which begin late. You should see: with sigma and "
        "a low denoise nothing changes, and a notice says so."
    ),
    "skip_compute": (
        "At strength 1 do not compute the mid-block at all, which saves its time. Switch "
        "it off if another extension reads the mid-block's inside. You should see: the same "
        "picture either way."
    ),
    "points": (
        "Only for the shape 'curve': place:height pairs inside the window, for example "
        "'0:1, 0.5:0.6, 1:0'. You should see: the bypass follow straight lines between "
        "these points."
    ),
    "hires": (
        "What the hires pass gets: the same strength, none (off), or its own, set below. You "
        "should see: with 'off' the second pass only refines what the first one drew."
    ),
    "hires_strength": (
        "The hires pass's strength where 'hires' is 'own'; shape and window stay the same. You "
        "should see: changes of detail rather than of what is drawn."
    ),
    "refiner": (
        "Which model is bypassed when a refiner takes over: the base model, the refiner, or "
        "both. You should see: no difference without a refiner."
    ),
}
"""Field name to what it means and what one should see."""
