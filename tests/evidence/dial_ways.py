"""Not a test: every way of the study on a random model in a real ComfyUI; writes what it did."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from demo.faces import Shares
from demo.networks import NETWORKS, load_host
from demo.train import TinyModel, Training, save_weights
from evidence.dial.depth import SETTINGS
from evidence.dial.host import Host
from evidence.dial.ranges import RANGE_WAYS
from evidence.dial.ways import BYPASS, WAYS

COUNT, STEPS = 3, 4
TRIED = {"unet": WAYS, "transformer": RANGE_WAYS}


def main() -> None:
    """Draw with the strongest setting of each way of each kind of network, in one host."""
    weights, answers = map(Path, sys.argv[1:])
    load_host()
    host = Host("cpu")
    answers.write_text(json.dumps({kind: tried(host, weights, kind) for kind in TRIED}), "utf-8")


def tried(host: Host, weights: Path, network: str) -> dict[str, Any]:
    """What the ways did to a random model."""
    write_random(weights, network)
    run = replace(host.run_of(weights, "nurse", 3.0), seed=5, count=COUNT, steps=STEPS)
    whole = run.model.model.diffusion_model
    modules = list(whole.modules())
    found = {}
    plain = host.draw(run)
    for name, way in TRIED[network].items():
        drawn = host.draw(way.apply(host, run, way.settings[-1]))
        apart = float((drawn.pictures - plain.pictures).abs().max())
        found[name] = (apart, drawn.rows, len(drawn.pictures))
    again = host.draw(run)
    same = torch.equal(again.pictures, plain.pictures)
    kept = modules == list(whole.modules()) and not any(m._forward_hooks for m in modules)
    skipped = host.draw(replace(run, model=skipping(host, run.model)))
    apart = float((skipped.pictures - plain.pictures).abs().max())
    depths = [name for name in NETWORKS if name.startswith("depth") and network == "unet"]
    return {
        "ways": found,
        "same": same and kept,
        "host's skip": apart,
        "depths": {name: changed_by_bypass(host, weights, name) for name in depths},
    }


def write_random(weights: Path, network: str) -> None:
    """A file of random weights."""
    torch.manual_seed(0)
    model = TinyModel(NETWORKS[network])
    for value in model.network.parameters():
        if value.ndim > 1 and not value.any():  # closing layers, without which nothing would act
            torch.nn.init.kaiming_uniform_(value)
    average = {name: value.detach() for name, value in model.named_parameters()}
    save_weights(weights, average, Training("", Shares(), 0, 0, network=network))


def changed_by_bypass(host: Host, weights: Path, network: str) -> float:
    """How far the study of depth's bypass changes the pictures of another kind of network."""
    write_random(weights, network)
    run = replace(host.run_of(weights, "", 1.0), seed=5, count=COUNT, steps=STEPS)
    drawn = host.draw(WAYS[BYPASS].apply(host, run, SETTINGS[BYPASS]))
    return float((drawn.pictures - host.draw(run).pictures).abs().max())


def skipping(host: Host, model: Any) -> Any:
    """The MODEL with the host's own skip-layer guidance from the first step to the last."""
    given = {"double_layers": "2, 3", "single_layers": "2, 3"}
    window = {"start_percent": 0.0, "end_percent": 1.0}
    return host.node("nodes_slg", "SkipLayerGuidanceDiTSimple", model=model, **given, **window)


if __name__ == "__main__":
    main()
