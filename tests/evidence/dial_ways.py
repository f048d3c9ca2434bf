"""Not a test: every way of the study on a random model in a real ComfyUI; writes what it did."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from demo.faces import Shares
from demo.networks import NETWORKS, load_host
from demo.train import TinyModel, Training, save_weights
from evidence.dial.host import Host
from evidence.dial.ways import WAYS

COUNT, STEPS = 3, 4


def main() -> None:
    """Draw with the strongest setting of each way."""
    torch.manual_seed(0)
    load_host()
    model = TinyModel(NETWORKS["unet"])
    for (
        value
    ) in model.network.parameters():  # the closing layers start at zero, and nothing would act
        if value.ndim > 1 and not value.any():
            torch.nn.init.kaiming_uniform_(value)
    weights = Path(sys.argv[1])
    average = dict(model.named_parameters())
    save_weights(
        weights, {name: v.detach() for name, v in average.items()}, Training("", Shares(), 0, 0)
    )
    host = Host("cpu")
    run = replace(host.run_of(weights, "nurse", 3.0), seed=5, count=COUNT, steps=STEPS)
    middle = run.model.model.diffusion_model.middle_block
    found = {}
    plain = host.draw(run)
    for name, way in WAYS.items():
        drawn = host.draw(way.apply(host, run, way.settings[-1]))
        apart = float((drawn.pictures - plain.pictures).abs().max())
        found[name] = (apart, drawn.rows, len(drawn.pictures))
    again = host.draw(run)
    same = torch.equal(again.pictures, plain.pictures)
    kept = run.model.model.diffusion_model.middle_block is middle
    Path(sys.argv[2]).write_text(json.dumps({"ways": found, "same": same and kept}), "utf-8")


if __name__ == "__main__":
    main()
