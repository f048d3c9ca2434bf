"""A folder by another spelling is the same folder: who learned from it is told."""

from __future__ import annotations

LEARNED = "was fitted on some of these very probes"


def test_the_warning_does_not_go_by_the_spelling(bench, lab, host_folders):
    bench.colour_folder(host_folders / "input" / "probes")
    bench.colour_folder(host_folders / "input" / "others")
    backbone = lab.run_node("DetourLoadClassifier", file="nurse_or_builder.safetensors")[0]
    learned = lab.run_node("DetourProbeFolder", folder="probes")[0]
    fitted = lab.run_node("DetourClassifierFromProbes", probes=learned, classifier=backbone)[0]
    for folder in ("probes", "./probes", "probes/", "others"):
        again = lab.run_node("DetourProbeFolder", folder=folder)[0]
        report = lab.run_node("DetourEvaluateGroups", classifier=fitted, probes=again, part="all")[
            0
        ]
        assert (LEARNED in report) == ("probes" in folder), folder
