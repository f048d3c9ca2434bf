"""What people read at a field: one sentence on what it means, and what they should see.

ComfyUI's nodes show both as a tooltip; panel and tab of the web UIs show the first below the
field. What they share is here, so that it is said once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Help:
    """A field in words. what: one sentence. see: how the sentence "You should see:" goes on."""

    what: str
    see: str

    @property
    def tooltip(self) -> str:
        """Both, as a node shows them."""
        return f"{self.what} You should see: {self.see}"


DIAL = {
    "strength": Help(
        "0 = exactly the unpatched model, 1 = the mid-block is skipped, below 0 = it counts more.",
        "more of what the model rarely draws as this goes up, and rougher pictures when the window "
        "is long.",
    ),
    "shape": Help(
        "How the bypass runs through its window; 'curve' follows 'points'.",
        "falling shapes keep more detail than constant at the same strength.",
    ),
    "start_percent": Help(
        "Where the bypass begins: 0 = pure noise, 1 = finished picture.",
        "a later start changes details instead of what is drawn.",
    ),
    "end_percent": Help(
        "Where the bypass ends; from here on the whole model cleans up.",
        "more variety and more broken pictures as this goes up.",
    ),
    "apply_to": Help(
        "both = prompt and negative prompt; cond = only the prompt; uncond = only the negative.",
        "no difference between 'both' and 'cond' at CFG 1; 'uncond' works like extra guidance.",
    ),
    "schedule_by": Help(
        "sigma = window in the noise schedule; step = over this run's steps (image-to-image).",
        "no change with sigma at a low denoise or in a hires pass, and a notice that says so.",
    ),
    "skip_compute": Help(
        "At strength 1 do not compute the mid-block at all; switch this off if an extension reads "
        "inside of it.",
        "the same picture either way.",
    ),
    "points": Help(
        "For the shape 'curve': place:height pairs inside the window, as in '0:1, 0.5:0.6, 1:0'.",
        "the bypass follow straight lines between these points.",
    ),
    "hires": Help(
        "What the hires pass gets: the same strength, none (off), or its own.",
        "with 'off' the second pass only refines what the first one drew.",
    ),
    "hires_strength": Help(
        "The strength of the hires pass where 'hires' is 'own'.",
        "changes of detail rather than of what is drawn.",
    ),
    "refiner": Help(
        "Which model is bypassed when a refiner takes over.",
        "no difference without a refiner.",
    ),
}
"""The fields of the bypass, by the names of the node's inputs and the panel's arguments."""


CLASSIFIER = {
    "file": Help(
        "A file or a transformers folder in models/image_classifiers.",
        "the number of classes and the first labels in the report.",
    ),
    "architecture": Help(
        "auto = as the file or its weights say; else a name, such as resnet50 or "
        "timm:convnext_small.",
        "the architecture in the report.",
    ),
    "labels": Help(
        "The classes in their order, one a line or with commas; empty = as the file says, else "
        "numbers.",
        "these names in all results.",
    ),
    "activation": Help(
        "softmax = one class for each picture; sigmoid = each class by itself, for taggers and "
        "NSFW filters; auto = as the file says, else softmax.",
        "scores that add up to 1 with softmax only.",
    ),
    "label_threshold": Help(
        "For sigmoid: the score from which a tag counts; 0 = as the file says, else 0.5.",
        "fewer tags as this goes up.",
    ),
    "top_k": Help(
        "How many of the highest scores are listed for each picture.",
        "that many names behind each label.",
    ),
    "threshold": Help(
        "The least score of a picture that is kept; for taggers also of a tag (0 = the "
        "classifier's own).",
        "fewer kept pictures as this goes up.",
    ),
}
"""Loading a classifier, and asking it about pictures."""


EDIT = {
    "method": Help(
        "worst_group = search for the best worst group; evidence = from the groups' means; paired "
        "= from the same pictures without and with the feature.",
        "the worst group rise; with 'paired', what the feature adds shrink to 0.",
    ),
    "edit": Help(
        "How many numbers may change; auto = the smallest edit that is not clearly worse than the "
        "best.",
        "all sizes side by side in the chart, this one marked.",
    ),
    "target_class": Help(
        "The class that takes the shortcut, by label or number; empty = all are tried.",
        "the report name this class.",
    ),
    "degree": Help(
        "0 = bit for bit the classifier as it came, 1 = as found, above 1 = over-corrected, below "
        "0 = the shortcut counts more.",
        "the marked line of the degree chart move.",
    ),
    "max_weights": Help(
        "The most weights that k_weights_bias may edit; it stops earlier where more do not help.",
        "the last row of the ladder grow, or not.",
    ),
    "attribute": Help(
        "For 'evidence' and 'paired': which attribute of the probes is the suspect feature; empty "
        "= the one with number 1.",
        "its name in the chart of 'paired'.",
    ),
    "auto_degree": Help(
        "For 'evidence': degree 1 stands for the degree that is best on the validation part; off = "
        "for its formula.",
        "which degree that was, in the notes.",
    ),
    "split_seed": Help(
        "Which probes choose the edit and which report on it, where they do not say so themselves.",
        "slightly other numbers; large differences mean too few probes.",
    ),
    "class_name": Help(
        "The class to remove, by label or number.",
        "it falls to 0 % on the probes to choose on, or how many remain.",
    ),
    "size": Help(
        "one_weight = a single weight; one_weight_bias = the bias too, if that is not enough; "
        "bias_only = the rival, always enough on the probes.",
        "how the bias shift alone does, in the chart.",
    ),
    "part": Help(
        "all = every probe; report = only the quarter that did not choose the edit, with its split "
        "seed.",
        "honest, usually lower numbers with 'report'.",
    ),
    "file_degree": Help(
        "Multiplies the degree of every edit in the file: 0 = the classifier as it came, 1 = "
        "exactly as saved.",
        "the effect fade as this goes to 0.",
    ),
}
"""Finding an edit, judging it, and applying a saved one."""


PANEL_INTRO = (
    "Makes a model draw what it usually leaves out: the U-Net's mid-block is bypassed early in the "
    "denoising, then the whole model cleans up."
)


TAB_INTRO = (
    "Finds what a classifier takes for a class though it is not (a colour, a watermark, a pose), "
    "and edits a few numbers of its last layer until it no longer does. The file itself is not "
    "written to."
)


TAB_WORDS = {
    **{name: told.what for name, told in CLASSIFIER.items()},
    **{name: told.what for name, told in EDIT.items()},
    "target": EDIT["target_class"].what,
    "remove": f"{EDIT['class_name'].what} This changes predictions: it is no privacy unlearning.",
    "remove_edit": EDIT["size"].what,
    "apply_degree": EDIT["file_degree"].what,
    "folder": "A folder of pictures, used if none are dropped.",
    "probes": (
        "Sub-folders class/attribute/, as in nurse/woman/1.png, or a metadata.csv. The folder lies "
        "in detour/probes of the web UI's data folder, or in an output folder."
    ),
    "degree": f"{EDIT['degree'].what} Moving it sets the last edit's degree.",
    "edit_name": "Saved in detour/edits; nothing is overwritten.",
    "edit_file": "From detour/edits or models/image_classifiers; for the model it was made for.",
    "classifier_name": "Saved with its edits in models/image_classifiers; nothing is overwritten.",
}
"""What the tab shows below each control."""
