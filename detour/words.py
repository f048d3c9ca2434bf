"""What panel and tab say about each field. Where a ComfyUI node has the same field, the words are
the node's, except where they speak of nodes."""

from __future__ import annotations

PANEL_INTRO = (
    "Makes a model draw what it usually leaves out. During an early part of the denoising the "
    "U-Net's mid-block is bypassed, so the most common answer loses its grip; then the whole "
    "model cleans up."
)


PANEL_WORDS = {
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


TAB_INTRO = (
    "Finds what a classifier takes for a class though it is not (a colour, a watermark, a pose), "
    "and edits one or a few numbers of its last layer until it no longer does. No training; the "
    "file itself is not written to."
)


PLACES = (
    "Folders are named below Detour's own folder detour/probes in the web UI's data folder, or "
    "below an output folder of the web UI, for example 2026-01-31."
)


TAB_WORDS = {
    "file": (
        "A file or a transformers folder in models/image_classifiers. You should see: the number "
        "of classes and the first labels in the report."
    ),
    "architecture": (
        "auto = as the file says, else recognised from its weights. Otherwise a name, for example "
        "resnet50, torchvision:regnet_y_400mf or timm:convnext_small."
    ),
    "labels": (
        "The names of the classes in their order, one a line or separated by commas; empty = as "
        "the file says, else numbers (ImageNet's for 1,000 classes)."
    ),
    "activation": (
        "softmax = one class for each picture; sigmoid = each class by itself, for taggers and "
        "NSFW filters; auto = as the file says, else softmax."
    ),
    "label_threshold": (
        "For sigmoid: the score from which a tag counts as present; 0 = as the file says, else "
        "0.5. softmax has none."
    ),
    "folder": "Used if no pictures are dropped. A folder with pictures in it.",
    "top_k": "How many of the highest scores are listed for each picture.",
    "threshold": (
        "Pictures with a lower score do not count as kept; for taggers also the score from which "
        "a tag is present (0 = the classifier's own)."
    ),
    "probes": (
        "Labelled pictures: sub-folders class/attribute/, for example nurse/woman/1.png, or a "
        "metadata.csv with img_filename, y, place. You should see: how many pictures each group "
        "has; 200 of each are good, 50 are few."
    ),
    "method": (
        "worst_group = exact search for the best worst group, needs classes and both attributes. "
        "evidence = straight from group means, no search. paired = the same pictures without and "
        "with the feature, needs no classes. You should see: the worst group rise."
    ),
    "edit": (
        "How many numbers may change. auto = the smallest edit that is not clearly worse than the "
        "best. k_weights_bias works with worst_group only."
    ),
    "target": (
        "The class that takes the shortcut; empty = all are tried. 'evidence' and 'paired' need it "
        "with more than two classes."
    ),
    "degree": (
        "How far the edit goes: 0 = bit for bit the classifier as it came, 1 = as found, above 1 = "
        "over-corrected, below 0 = the shortcut counts more. Moving it sets the last edit's degree."
    ),
    "max_weights": "The most weights that k_weights_bias may edit; it stops earlier.",
    "attribute": (
        "For 'evidence' and 'paired': which attribute of the probes is the suspect feature; empty "
        "= the one that the report on the probes names."
    ),
    "auto_degree": (
        "For 'evidence': degree 1 stands for the degree that is best on the validation part of "
        "the probes, for its formula otherwise."
    ),
    "split_seed": (
        "Which probes choose an edit and which report on it, where they do not say so themselves."
    ),
    "remove": (
        "The class to remove; its pictures fall to the next best class. This changes predictions "
        "only: it is no privacy unlearning."
    ),
    "remove_edit": (
        "one_weight = a single weight; one_weight_bias = the bias too, if one weight is not "
        "enough; bias_only = the rival, always enough on the probes."
    ),
    "part": (
        "all = every probe. report = only the quarter that did not choose the edit: honest after "
        "an edit, with its split seed."
    ),
    "edit_name": "Saved in detour/edits; nothing is overwritten.",
    "edit_file": "From detour/edits or models/image_classifiers; for the model it was made for.",
    "apply_degree": "Multiplies the degree of every edit in the file: 1 = exactly as saved.",
    "classifier_name": "Saved with its edits in models/image_classifiers; nothing is overwritten.",
}
"""Control to what it means."""
