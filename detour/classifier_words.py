"""What each field of the classifiers means: once for the ComfyUI nodes and the web UIs' tab.

A node's tooltip says all of it, the tab what a field means; where the tab's field is another one
than the node's (a folder of the web UI, a list of files), it has words of its own.
"""

from __future__ import annotations

from .words import Words

CLASSIFIER = {
    "file": Words(
        "A file or a transformers folder in models/image_classifiers.",
        "the number of classes and the first labels in the report.",
    ),
    "architecture": Words(
        (
            "auto = as the file says, else recognised from its weights. Otherwise a name, for "
            "example resnet50, torchvision:regnet_y_400mf or timm:convnext_small."
        ),
        "the architecture in the report.",
    ),
    "labels": Words(
        (
            "The names of the classes in their order, one a line or separated by commas; empty = "
            "as the file says, else numbers (ImageNet's for 1,000 classes)."
        ),
        "these names in all results.",
    ),
    "activation": Words(
        (
            "softmax = one class for each picture; sigmoid = each class by itself, for taggers and "
            "NSFW filters; auto = as the file says, else softmax."
        ),
        "scores that add up to 1 with softmax only.",
    ),
    "threshold": Words(
        (
            "For sigmoid: the score from which a tag counts as present; 0 = as the file says, else "
            "0.5. softmax has none."
        ),
        "fewer tags as this goes up.",
    ),
    "clip_vision": Words(
        "Only for a classifier that was fitted on a CLIP vision model: that model.",
        "a message when it is another one.",
    ),
    "saved": Words("The classifier to save.", "its name in the report."),
    "filename": Words(
        "The name of the file, with sub-folders if you like.",
        "it in Load Image Classifier after a refresh.",
    ),
}
"""To load and to save a classifier; `saved` is the one that is saved."""

CLASSIFY = {
    "classifier": Words("The classifier to ask.", "its labels in the report."),
    "images": Words("The pictures.", "one line for each in the report."),
    "top_k": Words(
        "How many of the highest scores are listed for each picture.",
        "that many names behind each label.",
    ),
    "threshold": Words(
        (
            "Pictures with a lower score are not kept; for taggers also the score from which a tag "
            "is present (0 = the classifier's own)."
        ),
        "fewer kept pictures as this goes up.",
    ),
    "keep_label": Words(
        "Keep only pictures of this class, by label or number; empty = of any.",
        "only these pictures in 'kept images'.",
    ),
}
"""To ask a classifier about pictures."""

PROBES = {
    "folder": Words(
        "A folder below ComfyUI's input or output folder.",
        "how many pictures each group has.",
    ),
    "images": Words(
        "Pictures of one group, for example from a sampler.",
        "their number in the report, and the first ones in the preview.",
    ),
    "class_name": Words(
        (
            "What they show, by the classifier's label (or a word of yours, if the classifier is "
            "fitted on these). Empty = not known; only the method 'paired' works then."
        ),
        "a group of this name in the report.",
    ),
    "attribute": Words(
        (
            "Whether the suspect feature is there: two words such as 'with' and 'without', 'hat' "
            "and 'no hat'."
        ),
        "in the report which of them counts as the feature.",
    ),
    "unit_start": Words(
        (
            "The seed or number of the first picture; the others count up. Pictures of one number, "
            "in any group, stay on one side of every split, and 'paired' compares them. -1 = all "
            "different."
        ),
        "the number of units in the report.",
    ),
    "probes": Words("Probes of other groups, to chain.", "all groups together in the report."),
    "classifier": Words(
        "A classifier whose features are kept in place of the pictures.",
        "the same results, and less memory in use. Connect this or clip_vision.",
    ),
    "clip_vision": Words(
        "A CLIP vision model (as for IP-Adapter) whose features are kept in place of the pictures.",
        "the same results, and less memory in use. Connect this or classifier.",
    ),
}
"""To make probes."""

FIT = {
    "probes": Words(
        "Pictures of at least two classes.",
        "the accuracy on pictures that it was not fitted on, for each group.",
    ),
    "classifier": Words(
        "A classifier whose features the head is fitted on.",
        "better accuracy with a backbone that knows such pictures. Connect this or clip_vision.",
    ),
    "clip_vision": Words(
        "A CLIP vision model (as for IP-Adapter) whose features the head is fitted on.",
        "better accuracy with a backbone that knows such pictures. Connect this or classifier.",
    ),
}
"""To fit a classifier on probes."""

EDIT = {
    "classifier": Words(
        (
            "An image classifier; edits that it already has stay. It is not written to: what comes "
            "out is a copy."
        ),
        "other branches of the graph unchanged.",
    ),
    "probes": Words(
        "Pictures with a class and an attribute (the suspect feature present or not).",
        "steadier numbers with more pictures; 200 of each group are good, 50 are few.",
    ),
    "method": Words(
        (
            "worst_group = exact search for the best worst group, needs classes and both "
            "attributes. evidence = straight from group means, no search. paired = the same "
            "pictures without and with the feature, needs no classes."
        ),
        "the worst group rise; with 'paired', what the feature adds shrink to 0.",
    ),
    "edit": Words(
        (
            "How many numbers may change. auto = the smallest edit that is not clearly worse than "
            "the best. k_weights_bias works with worst_group only."
        ),
        "all sizes side by side in the chart, this one marked.",
    ),
    "target_class": Words(
        (
            "The class that takes the shortcut, by label or number; empty = all are tried. "
            "'evidence' and 'paired' need it with more than two classes."
        ),
        "the report name this class.",
    ),
    "degree": Words(
        (
            "How far the edit goes: 0 = bit for bit the classifier as it came, 1 = as found, above "
            "1 = over-corrected, below 0 = the shortcut counts more."
        ),
        "the marked line of the degree chart move.",
    ),
    "max_weights": Words(
        "The most weights that k_weights_bias may edit; it stops earlier where more do not help.",
        "the last row of the ladder grow, or not.",
    ),
    "attribute": Words(
        (
            "For 'evidence' and 'paired': which attribute of the probes is the suspect feature, by "
            "name or number; empty = the one with number 1."
        ),
        "its name in the chart of 'paired'.",
    ),
    "split_seed": Words(
        "Which probes choose the edit and which report on it, where they do not say so themselves.",
        "slightly other numbers; large differences mean too few probes.",
    ),
    "auto_degree": Words(
        (
            "For 'evidence': degree 1 stands for the degree that is best on the validation part of "
            "the probes, for its formula otherwise."
        ),
        "which degree that was, in the notes.",
    ),
}
"""To take a shortcut out; the classifier, the probes and their split are those of all edits."""

REMOVE = {
    "class_name": Words(
        "The class to remove, by label or number.",
        "it falls to 0 % on the probes to choose on, or how many remain.",
    ),
    "degree": Words(
        (
            "How far the edit goes: 0 = bit for bit the classifier as it came, 1 = removed, "
            "between = predicted less often."
        ),
        "fewer pictures predicted as the class as this goes up to 1.",
    ),
    "edit": Words(
        (
            "one_weight = a single weight; one_weight_bias = the bias too, if one weight is not "
            "enough; bias_only = the rival, always enough on the probes."
        ),
        "how the bias shift alone does, in the chart.",
    ),
}
"""To remove a class."""

EVALUATE = {
    "part": Words(
        (
            "all = every probe. report = only the quarter that did not choose the edit: use it "
            "after Neutralize Shortcut, with its split_seed."
        ),
        "honest, usually lower numbers with 'report'.",
    ),
    "before": Words(
        "Another classifier with the same labels, to compare with.",
        "its accuracy as the grey bar of each group.",
    ),
    "target_class": Words(
        (
            "Of a tagger, the tag that is measured: pictures of the class with its name have it, "
            "all others not. Empty = the class that is a tag. Others need none."
        ),
        "groups called by this tag and 'no' this tag.",
    ),
}
"""To measure the groups."""

EDIT_FILE = {
    "edit": Words(
        "The EDIT of Neutralize Shortcut or Remove Class.",
        "the edits before it in the file too.",
    ),
    "filename": Words(
        (
            "A name below output/detour; 'a/b' makes a folder. A number is added, nothing is "
            "overwritten."
        ),
        "edit_00001.edit.json.",
    ),
    "file": Words(
        "An edit file from output/detour or models/image_classifiers.",
        "files saved just now after a refresh of the page (R).",
    ),
    "degree": Words(
        (
            "Multiplies the degree of every edit in the file: 0 = bit for bit the classifier as it "
            "came, 1 = exactly as saved."
        ),
        "the effect fade as this goes to 0.",
    ),
    "in_place": Words(
        "An edit straight from another node, in place of the file.",
        "'file' has no effect while this is connected.",
    ),
}
"""To save and apply edits; `in_place` is the edit that is taken in place of a file."""

TAB_INTRO = (
    "Finds what a classifier takes for a class though it is not (a colour, a watermark, a pose), "
    "and edits one or a few numbers of its last layer until it no longer does. No training; the "
    "file itself is not written to."
)

PLACES = (
    "Folders are named below Detour's own folder detour/probes in the web UI's data folder, or "
    "below an output folder of the web UI, for example 2026-01-31."
)

HELP = {
    **{name: CLASSIFIER[name].means for name in ("file", "architecture", "labels", "activation")},
    "label_threshold": CLASSIFIER["threshold"].means,
    "folder": "Used if no pictures are dropped. A folder with pictures in it.",
    **{name: CLASSIFY[name].means for name in ("top_k", "threshold")},
    "probes": (
        "Labelled pictures: sub-folders class/attribute/, for example nurse/woman/1.png, or a "
        "metadata.csv with img_filename, y, place. You should see: how many pictures each group "
        "has; 200 of each are good, 50 are few."
    ),
    **{name: EDIT[name].means for name in ("method", "edit", "max_weights", "attribute")},
    **{name: EDIT[name].means for name in ("auto_degree", "split_seed")},
    "target": EDIT["target_class"].means,
    "degree": f"{EDIT['degree'].means} Moving it sets the last edit's degree.",
    "remove": (
        "The class to remove; its pictures fall to the next best class. This changes predictions "
        "only: it is no privacy unlearning."
    ),
    "remove_edit": REMOVE["edit"].means,
    "part": (
        "all = every probe. report = only the quarter that did not choose the edit: honest after "
        "an edit, with its split seed."
    ),
    "edit_name": "Saved in detour/edits; nothing is overwritten.",
    "edit_file": "From detour/edits or models/image_classifiers; for the model it was made for.",
    "apply_degree": "Multiplies the degree of every edit in the file: 1 = exactly as saved.",
    "classifier_name": "Saved with its edits in models/image_classifiers; nothing is overwritten.",
}
"""Control of the tab to what it means."""
