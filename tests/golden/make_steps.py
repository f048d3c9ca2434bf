"""Write steps.json: the sigmas that ComfyUI's own KSampler visits, on Stable Diffusion's table.

The browser works them out again to mark a sampler's steps (js/steps.js). Run it with
COMFYUI_PATH, and only when the host's schedulers change.
"""

import itertools
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, os.environ["COMFYUI_PATH"])

from comfy.cli_args import args

args.cpu = True  # before the host looks for a graphics card

import comfy.model_sampling  # noqa: E402
import comfy.samplers  # noqa: E402
from comfy_extras.nodes_custom_sampler import SDTurboScheduler  # noqa: E402

SCHEDULERS = "normal sgm_uniform simple ddim_uniform karras exponential kl_optimal".split()


def visited(run):
    """The sigmas of a run with these widgets, cut as the host's sampler cuts them."""
    sampling = comfy.model_sampling.ModelSamplingDiscrete()
    model = SimpleNamespace(
        get_model_object=lambda _: sampling, load_device="cpu", model_options={}
    )
    if run["scheduler"] == SDTurboScheduler.__name__:
        planned = SDTurboScheduler.execute(model, run["steps"], run["denoise"])
        return [float(sigma) for sigma in planned.result[0]]
    sampler = comfy.samplers.KSampler(
        model, run["steps"], "cpu", run["sampler_name"], run["scheduler"], run["denoise"]
    )
    sigmas = sampler.sigmas
    last, first = run.get("end_at_step", 10000), run.get("start_at_step", 0)
    sigmas = sigmas[: last + 1] if last < len(sigmas) - 1 else sigmas
    return [float(sigma) for sigma in sigmas[first:]]


def main():
    """Write the file beside this one."""
    runs = [
        {"steps": steps, "scheduler": scheduler, "sampler_name": "euler", "denoise": denoise}
        for scheduler, steps, denoise in itertools.product(SCHEDULERS, (4, 20), (1.0, 0.6))
    ]
    base = {"steps": 20, "scheduler": "karras", "sampler_name": "dpm_2", "denoise": 1.0}
    runs.append(base)
    runs.append({**base, "sampler_name": "euler", "start_at_step": 5, "end_at_step": 12})
    turbo = SDTurboScheduler.__name__
    runs += [
        {"steps": steps, "scheduler": turbo, "denoise": denoise}
        for steps, denoise in ((1, 1.0), (4, 1.0), (4, 0.55), (10, 0.29))
    ]
    table = [{"run": run, "sigmas": visited(run)} for run in runs]
    path = Path(__file__).with_name("steps.json")
    path.write_text(json.dumps(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
