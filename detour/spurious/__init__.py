"""The single-weight edit: probes and groups, searches, closed forms, the edit record."""

from .bootstrap import worst_difference
from .change import Change, Found
from .combine import combined
from .compared import PARTS, Compared, compared
from .curve import CurvePoint, best_degree, degree_curve
from .edit import (
    Cell,
    Edit,
    EditStack,
    apply_edits,
    edit_of,
    effective_cells,
    head_hash,
    new_stack,
)
from .edit_file import (
    from_json,
    load_edits,
    named_edits,
    save_edits,
    save_new_edits,
    to_json,
)
from .edit_search import EditSearch
from .evaluate import changed_logits, correct, edited_logits, predictions, stack_logits
from .evidence import evidence, paired, shortcut_gap
from .gain import Gain
from .ladder import EDITS, Ladder, Rung, build_ladder
from .metrics import GroupMetrics, apart, collateral, group_metrics, share_interval, wilson
from .nested import AUTO
from .neutralize import METHODS, Neutralized, neutralize, with_edits
from .on_classifier import edited_classifier, unedited_stack
from .pair import weight_and_bias
from .parts import Parts, folds, needs_folds, split_parts
from .probes import Probes
from .removal import Removal, remove_class
from .removed import SIZES, ClassRate, Removed, removed
from .search import bias_only, worst_group
from .standing import Standing, places
from .with_ladder import neutralize_with_ladder

__all__ = [
    "AUTO",
    "EDITS",
    "METHODS",
    "PARTS",
    "SIZES",
    "Cell",
    "Change",
    "ClassRate",
    "Compared",
    "CurvePoint",
    "Edit",
    "EditSearch",
    "EditStack",
    "Found",
    "Gain",
    "GroupMetrics",
    "Ladder",
    "Neutralized",
    "Parts",
    "Probes",
    "Removal",
    "Removed",
    "Rung",
    "Standing",
    "apart",
    "apply_edits",
    "best_degree",
    "bias_only",
    "build_ladder",
    "changed_logits",
    "collateral",
    "combined",
    "compared",
    "correct",
    "degree_curve",
    "edit_of",
    "edited_classifier",
    "edited_logits",
    "effective_cells",
    "evidence",
    "folds",
    "from_json",
    "group_metrics",
    "head_hash",
    "load_edits",
    "named_edits",
    "needs_folds",
    "neutralize",
    "neutralize_with_ladder",
    "new_stack",
    "paired",
    "places",
    "predictions",
    "remove_class",
    "removed",
    "save_edits",
    "save_new_edits",
    "share_interval",
    "shortcut_gap",
    "split_parts",
    "stack_logits",
    "to_json",
    "unedited_stack",
    "weight_and_bias",
    "wilson",
    "with_edits",
    "worst_difference",
    "worst_group",
]
