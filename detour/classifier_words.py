"""What each field of the classifiers means: once for the ComfyUI nodes and the web UIs' tab.

Where the tab's field is another one than the node's (a folder of the web UI, a list of files), it
has words of its own.
"""

from __future__ import annotations

from .words import Words

CLASSIFIER = {
    "file": Words(
        "A file, or the folder that a network came in, in models/image_classifiers.",
        see="the number of classes and the first labels in the report.",
    ),
    "architecture": Words(
        "auto = as the file or its weights say; else a name, such as resnet50 or "
        "timm:convnext_small.",
        see="the architecture in the report.",
    ),
    "labels": Words(
        "The classes in their order, one a line or with commas; empty = as the file says, else "
        "numbers.",
        see="these names in all results.",
    ),
    "activation": Words(
        "softmax = one class for each picture; sigmoid = each class by itself, for taggers and "
        "NSFW filters; auto = as the file says, else softmax (one class alone is a sigmoid).",
        see="scores that add up to 1 with softmax only.",
    ),
    "threshold": Words(
        "For sigmoid: the score from which a tag counts; 0 = as the file says, else 0.5.",
        see="fewer tags as this goes up.",
    ),
    "clip_vision": Words(
        "Only for a classifier that was fitted on a CLIP vision model: that model.",
        see="a message when it is another one.",
    ),
    "saved": Words(
        "The classifier to save.",
        see="its name in the report.",
    ),
    "filename": Words(
        "The name of the file, with sub-folders if you like.",
        see="it in Load Image Classifier after a refresh.",
    ),
}
"""To load and to save a classifier; `saved` is the one that is saved."""

CLASSIFY = {
    "classifier": Words(
        "The classifier to ask.",
        see="its labels in the report.",
    ),
    "images": Words(
        "Pictures to ask about.",
        see="one line for each in the report.",
    ),
    "top_k": Words(
        "How many of the highest scores are listed for each picture.",
        see="that many names behind each label.",
    ),
    "threshold": Words(
        "The least score of a picture that is kept; for taggers also of a tag (0 = the "
        "classifier's own).",
        see="fewer kept pictures as this goes up.",
    ),
    "keep_label": Words(
        "Keep only pictures of this class, by label or number; empty = of any.",
        see="only these pictures in 'kept images'.",
    ),
    "before": Words(
        "Another classifier with the same labels, such as the one before an edit.",
        see="the pictures whose label changed, with both labels.",
    ),
}
"""To ask a classifier about pictures."""

PROBES = {
    "folder": Words(
        "A folder below ComfyUI's input or output folder.",
        see="how many pictures each group has.",
    ),
    "images": Words(
        "Pictures of one group, for example from a sampler.",
        see="their number in the report, and the first ones in the preview.",
    ),
    "class_name": Words(
        "What they show, by the classifier's label or in a word of yours; empty = not known, for "
        "the methods 'paired' and 'mistakes'.",
        see="a group of this name in the report.",
    ),
    "attribute": Words(
        "Whether the suspect feature is there: two words such as 'with' and 'without', 'hat' and "
        "'no hat'.",
        see="in the report which of them counts as the feature.",
    ),
    "unit_start": Words(
        "The seed of the first picture, the others count up; pictures of one seed stay together, "
        "and 'paired' compares them (-1 = all different).",
        see="the number of units in the report.",
    ),
    "probes": Words(
        "Probes of other groups, to chain.",
        see="all groups together in the report.",
    ),
    "classifier": Words(
        "A classifier (or connect clip_vision), whose features are kept in place of the pictures.",
        see="the same results, and less memory in use.",
    ),
    "clip_vision": Words(
        "A CLIP vision model as for IP-Adapter (or connect classifier), whose features are kept in "
        "place of the pictures.",
        see="the same results, and less memory in use.",
    ),
}
"""To make probes."""

LABELS = {
    "images": Words(
        "The pictures to label, a batch or a list.",
        see="them on the node after a run.",
    ),
    "labels": Words(
        "The labels that can be given, separated by commas; nurse/wrong says the true class too.",
        see="a button and a key (1 to 9) for each.",
    ),
    "marks": Words(
        "Which picture has which label; clicks write it, and so can you: wrong: 3, 7-9; right: 1.",
        see="the number of pictures of each label in the report.",
    ),
    "unmarked": Words(
        "Pictures without a mark: left_out = they are no probes; first_label = they have the first "
        "label, so that you mark the wrong ones only.",
        see="all pictures with a label in the report, or fewer.",
    ),
    "probes": Words(
        "Probes of other pictures, to chain.",
        see="all of them together in the report.",
    ),
    "classifier": Words(
        "A classifier to ask about the pictures.",
        see="what it says below each, like beside like, the least sure first.",
    ),
}
"""To put labels to pictures."""

FIT = {
    "probes": Words(
        "Pictures of at least two classes.",
        see="the accuracy on pictures that it was not fitted on, for each group.",
    ),
    "classifier": Words(
        "A classifier (or connect clip_vision), whose features the head is fitted on.",
        see="better accuracy with a backbone that knows such pictures.",
    ),
    "clip_vision": Words(
        "A CLIP vision model as for IP-Adapter (or connect classifier), whose features the head is "
        "fitted on.",
        see="better accuracy with a backbone that knows such pictures.",
    ),
}
"""To fit a classifier on probes."""

EDIT = {
    "classifier": Words(
        "An image classifier, with its edits; what comes out is a copy.",
        see="other branches of the graph unchanged.",
    ),
    "probes": Words(
        "Pictures with a class and an attribute (the suspect feature present or not).",
        see="steadier numbers with more pictures; 200 of each group are good, 50 are few.",
    ),
    "method": Words(
        "worst_group = search for the best worst group; evidence = from the groups' means; paired "
        "= from the same pictures without and with the feature; mistakes = from pictures labelled "
        "right and wrong.",
        see="the worst group rise; with 'paired', what the feature adds shrink to 0; with "
        "'mistakes', how many are mended and how many break.",
    ),
    "edit": Words(
        "How many numbers may change; auto = the smallest edit that is not clearly worse than the "
        "best, or none where a search finds no sure gain.",
        see="all sizes side by side in the chart, this one marked.",
    ),
    "target_class": Words(
        "The class that takes the shortcut, by label or number; empty = all are tried.",
        see="the report name this class.",
    ),
    "degree": Words(
        "0 = bit for bit the classifier as it came, 1 = as found, above 1 = over-corrected, below "
        "0 = the shortcut counts more.",
        see="the marked line of the degree chart move.",
    ),
    "max_weights": Words(
        "The most weights that k_weights_bias may edit; it stops earlier where more do not help.",
        see="the last row of the ladder grow, or not.",
    ),
    "attribute": Words(
        "For 'evidence' and 'paired': which attribute of the probes is the suspect feature; empty "
        "= the one with number 1.",
        see="its name in the chart of 'paired'.",
    ),
    "split_seed": Words(
        "Which probes choose the edit and which report on it, where they do not say so themselves.",
        see="slightly other numbers; large differences mean too few probes.",
    ),
    "auto_degree": Words(
        "For 'evidence': degree 1 stands for the degree that is best on the validation part; off = "
        "for its formula.",
        see="which degree that was, in the notes.",
    ),
    "keep_right": Words(
        "For 'mistakes': at least this share of the right pictures must stay right; less lets an "
        "edit mend more wrong ones.",
        see="more wrong pictures mended and more right ones broken as this goes down.",
    ),
}
"""To take a shortcut out; the classifier, the probes and their split are those of all edits."""

REMOVE = {
    "class_name": Words(
        "The class to remove, by label or number.",
        see="it falls to 0 % on the probes to choose on, or how many remain.",
    ),
    "degree": Words(
        "How far the edit goes: 0 = bit for bit the classifier as it came, 1 = removed, between = "
        "predicted less often.",
        see="fewer pictures predicted as the class as this goes up to 1.",
    ),
    "edit": Words(
        "one_weight = a single weight; one_weight_bias = the bias too, if that is not enough; "
        "bias_only = the rival, always enough on the probes.",
        see="how the bias shift alone does, in the chart.",
    ),
}
"""To remove a class."""

EVALUATE = {
    "part": Words(
        "all = every probe; report = only the quarter that did not choose the edit, with its split "
        "seed.",
        see="honest, usually lower numbers with 'report'.",
    ),
    "before": Words(
        "Another classifier with the same labels, to compare with.",
        see="its accuracy as the grey bar of each group.",
    ),
    "target_class": Words(
        "For a tagger: the tag that is measured; empty = the class that is a tag.",
        see="groups called by this tag and 'no' this tag.",
    ),
}
"""To measure the groups."""

EDIT_FILE = {
    "edit": Words(
        "The EDIT of Neutralize Shortcut or Remove Class.",
        see="the edits before it in the file too.",
    ),
    "filename": Words(
        "A name below output/detour, where 'a/b' makes a folder; a number is added.",
        see="edit_00001.edit.json.",
    ),
    "file": Words(
        "An edit file from output/detour or models/image_classifiers.",
        see="files saved just now after a refresh of the page (R).",
    ),
    "degree": Words(
        "Multiplies the degree of every edit in the file: 0 = the classifier as it came, 1 = "
        "exactly as saved.",
        see="the effect fade as this goes to 0.",
    ),
    "in_place": Words(
        "An edit straight from another node, in place of the file.",
        see="'file' has no effect while this is connected.",
    ),
    "probes": Words(
        "Labelled pictures of yours, to check the edits on; best ones that had no say in them.",
        see="each group before and after in the report, and whether that is an improvement.",
    ),
}
"""To save and apply edits; `in_place` is the edit that is taken in place of a file."""

TAB_INTRO = (
    "Finds what a classifier takes for a class though it is not (a colour, a watermark, a pose), "
    "and edits a few numbers of its last layer until it no longer does. The file itself is not "
    "written to."
)

WIZARD_INTRO = (
    "A classifier gets some of your pictures wrong: click those, press *Mend*, and a few numbers "
    "of its last layer are edited. Forty pictures are enough to begin, at least six of them wrong."
)

WIZARD = {
    "file": CLASSIFIER["file"].means,
    "tag": "Of a tagger: the tag that is wrong on some pictures. Otherwise leave it empty.",
    "folder": "A folder of pictures below an output folder, used if none are dropped.",
    "marks": "The numbers of those that you clicked; write them here as in '3, 7-9', then Enter.",
    "keep_right": "The share that must stay right; less lets an edit mend more wrong ones.",
    "name": "Nothing is overwritten.",
}
"""Control of the page "Mend by pointing" to what it means."""

HELP = {
    **{name: CLASSIFIER[name].means for name in ("file", "architecture", "labels", "activation")},
    "label_threshold": CLASSIFIER["threshold"].means,
    "folder": "A folder of pictures, used if none are dropped.",
    **{name: CLASSIFY[name].means for name in ("top_k", "threshold")},
    "probes": (
        "Sub-folders class/attribute/, as in nurse/woman/1.png, or a metadata.csv. The folder lies "
        "in detour/probes of the web UI's data folder, or in an output folder."
    ),
    **{name: EDIT[name].means for name in ("method", "edit", "max_weights", "attribute")},
    **{name: EDIT[name].means for name in ("auto_degree", "split_seed", "keep_right")},
    "target": EDIT["target_class"].means,
    "degree": f"{EDIT['degree'].means} Moving it sets the last edit's degree.",
    "remove": (
        f"{REMOVE['class_name'].means} This changes predictions: it is no privacy unlearning."
    ),
    "remove_edit": REMOVE["edit"].means,
    "part": EVALUATE["part"].means,
    "apply_degree": EDIT_FILE["degree"].means,
    "edit_name": "Saved in detour/edits; nothing is overwritten.",
    "edit_file": "From detour/edits or models/image_classifiers; for the model it was made for.",
    "classifier_name": "Saved with its edits in models/image_classifiers; nothing is overwritten.",
}
"""Control of the tab to what it means."""

SEARCH_WITHOUT_DEVICE = (
    "Detour: %s has too little memory for this search, so the CPU does it, which takes longer."
)
"""For the log."""
