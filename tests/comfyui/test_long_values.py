"""A megabyte in any text of any node: one sentence that does not repeat it, in time."""

from __future__ import annotations

import time

import pytest
import torch

LONGEST = 600
MEGABYTE = 10**6
KINDS = ("x", "\N{SNOWMAN}", "../", "a,", "1:", "9", "\u202e", "x\n", '"', "\\")
"""What a text of a megabyte is made of."""
OWN = "nurse_or_builder.safetensors"


@pytest.fixture(scope="module")
def texts(lab) -> dict:
    """(node, input) to the other inputs of the node."""
    (hosted, _) = lab.run_node("DetourLoadClassifier", file=OWN)
    pictures = torch.rand(8, 16, 16, 3)
    probes = lab.pack("detour.probes.probe_set").batch_probes(pictures, "nurse", "x", 0)
    probes = probes.chain(
        lab.pack("detour.probes.probe_set").batch_probes(pictures, "builder", "y", 0)
    )
    model, schema = lab.tiny("small"), {"strength": 1.0, "shape": "curve"}
    found = {
        ("DetourLoadClassifier", "file"): {},
        ("DetourSaveClassifier", "filename"): {"classifier": hosted},
        ("DetourSaveEdit", "filename"): {
            "edit": lab.pack("detour.edit.edited").unedited_stack(hosted.unedited)
        },
        ("DetourApplyEdit", "file"): {"classifier": hosted, "degree": 1.0},
        ("DetourProbeFolder", "folder"): {},
        ("DetourMidBlockBypass", "points"): {"model": model, **schema},
        ("DetourBypassSweep", "strengths"): {"model": model},
        ("DetourBypassSweep", "ways"): {"model": model},
    }
    for name in ("architecture", "labels", "activation"):
        found["DetourLoadClassifier", name] = {"file": OWN}
    for name in ("class_name", "attribute"):
        given = {"images": pictures, "class_name": "nurse", "attribute": "x"}
        found["DetourProbeImages", name] = {k: v for k, v in given.items() if k != name}
    search = {"classifier": hosted, "probes": probes, "method": "worst_group", "edit": "auto"}
    for name in ("method", "edit", "target_class"):
        given = {**search, "target_class": "", "degree": 1.0}
        found["DetourNeutralize", name] = {k: v for k, v in given.items() if k != name}
    evidence = {**search, "method": "evidence", "target_class": "builder", "degree": 1.0}
    found["DetourNeutralize", "attribute"] = evidence
    found["DetourEvaluateGroups", "part"] = {"classifier": hosted, "probes": probes}
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_no_sentence_repeats_a_megabyte(lab, texts, host_folders, kind):
    for (node, name), others in texts.items():
        text = (kind * MEGABYTE)[:MEGABYTE]
        started = time.process_time()
        with pytest.raises((ValueError, OSError)) as refusal:
            lab.run_node(node, **others, **{name: text})
        told = str(refusal.value)
        assert 10 < len(told) <= LONGEST, (node, name, len(told), told[:200])
        told.encode("utf-8")
        assert time.process_time() - started < 10, (node, name)
    assert not [path for path in host_folders.rglob("*") if path.is_file()]
