"""Detour's nodes, in the order in which they are listed."""

from __future__ import annotations

from .bypass import BypassSweep, MidBlockBypass
from .classify import Classify
from .contact_sheet import ContactSheet
from .demo_model import DemoDigits, DemoModel
from .edit_files import ApplyEdit, SaveEdit
from .evaluate_groups import EvaluateGroups
from .fit_classifier import ClassifierFromProbes
from .load_classifier import LoadClassifier
from .neutralize import Neutralize
from .plot_schedule import PlotSchedule
from .probes import ProbeFolder, ProbeImages
from .remove_class import RemoveClass
from .save_classifier import SaveClassifier

NODES = (
    MidBlockBypass,
    BypassSweep,
    ContactSheet,
    PlotSchedule,
    DemoModel,
    DemoDigits,
    LoadClassifier,
    ClassifierFromProbes,
    Classify,
    ProbeFolder,
    ProbeImages,
    Neutralize,
    RemoveClass,
    EvaluateGroups,
    SaveEdit,
    ApplyEdit,
    SaveClassifier,
)
