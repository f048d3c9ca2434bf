"""Probe pictures before a classifier saw them: from folders, from batches, in chains."""

from .batch import batch_probes
from .folder import read_folder
from .linear_head import FIT_SEED, LinearHead, fit_linear_head, unfitted
from .probe_set import ProbeSet
from .report import describe_head, describe_probes, preview

__all__ = [
    "FIT_SEED",
    "LinearHead",
    "ProbeSet",
    "batch_probes",
    "describe_head",
    "describe_probes",
    "fit_linear_head",
    "preview",
    "read_folder",
    "unfitted",
]
