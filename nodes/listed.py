"""Detour's nodes, in the order in which they are listed."""

from __future__ import annotations

from .classifiers import ClassifierFromProbes, Classify, LoadClassifier, SaveClassifier
from .demo import DemoDigits, DemoModel
from .dial import BypassSweep, MidBlockBypass, PlotSchedule
from .edit_files import ApplyEdit, SaveEdit
from .edits import EvaluateGroups, Neutralize, RemoveClass
from .probes import ProbeFolder, ProbeImages
from .sheet import ContactSheet

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
