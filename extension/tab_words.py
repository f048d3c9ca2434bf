"""What the tab says. Where a ComfyUI node has the same control, the words are the node's."""

INTRO = (
    "Finds what a classifier takes for a class though it is not (a colour, a watermark, a pose), "
    "and edits one or a few numbers of its last layer until it no longer does. No training; the "
    "file itself is not written to."
)
PLACES = (
    "Folders are named below Detour's own folder detour/probes in the web UI's data folder, or "
    "below an output folder of the web UI, for example 2026-01-31."
)
WORDS = {
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
