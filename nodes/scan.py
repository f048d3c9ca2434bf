"""The node that leaves a transformer's blocks out, one at a time, and tells what that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from comfy.sample import fix_empty_latent_channels, prepare_noise
from comfy.samplers import KSAMPLER, CFGGuider, calculate_sigmas
from comfy_api.latest import io

from ..detour.report.scan import draw_scan, scan_numbers, scan_text
from ..detour.ways.blocks import Span, in_place_of
from ..detour.ways.fade import LARGEST_SEED
from ..detour.ways.scan import LEAST_STEPS, BlockScan, leave_one_out, require_size
from ..detour.ways.targets import block_lists, find_blocks, typed_blocks, uncompiled
from ..detour.words import SCAN, SCAN_INTRO
from .classifier_host import progress
from .notices import Teller
from .schema import VARIETY, as_json, build, numbers_output, report_outputs, shown

KEY = "detour_scan"
"""Of our wrapper, which is in the copy of the MODEL that is scanned and in no other."""
SCHEDULER = "simple"
"""The host's plainest list of sigmas, which every model has."""
MOST_SEEDS, MOST_STEPS = 16, 50
RATIOS = ("downscale_ratio_spacial", "downscale_ratio_temporal")
"""By these newer hosts tell what an empty latent was made for."""
NO_NEGATIVE = "cfg is {:g}, and that needs a negative prompt; connect negative, or set cfg to 1."
NOT_REACHED = (
    "Block {} could not be left out: another node answers model calls by itself (EasyCache) or "
    "puts others in the place of blocks (compiling them one by one); connect this node before it."
)


class WhichBlocksMatter(io.ComfyNode):
    """A MODEL and a prompt in; a chart of its blocks, and a range for the dial, out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return build(
            io.Schema,
            node_id="DetourBlockScan",
            display_name="Which Blocks Matter",
            category=VARIETY,
            description=SCAN_INTRO,
            inputs=_inputs(),
            outputs=[
                io.String.Output(
                    "blocks",
                    display_name="blocks",
                    tooltip="The range to try, for the input blocks of Variety Dial; a guess.",
                ),
                *report_outputs(),
                numbers_output(),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            search_aliases=["transformer", "layers", "skip layer", "blocks", "variety"],
        )

    @classmethod
    def execute(
        cls, model, positive, latent, steps, seeds, first_seed=0, cfg=1.0, negative=None
    ) -> io.NodeOutput:
        denoiser = model.get_model_object("diffusion_model")
        lists, kind = block_lists(denoiser), type(uncompiled(denoiser)).__name__
        count = sum(length for _, length in lists)
        require_size(kind, count, steps)
        if cfg != 1.0 and negative is None:
            raise ValueError(NO_NEGATIVE.format(cfg))
        calls = seeds * steps * (count + 1)
        Teller(cls.hidden.unique_id).tell(
            f"{calls} predictions: {seeds} x {steps} steps x ({count} blocks + 1)", missed=False
        )
        scanning = Scanning(model, count, calls)
        guider = guider_of(scanning.model, positive, negative, cfg)
        changes = [
            scanning.run(guider, latent, steps, first_seed + place) for place in range(seeds)
        ]
        scan = BlockScan(kind, lists, tuple(changes))
        report = scan_text(scan, cfg)
        chart, told = shown(cls, report, draw_scan(scan))
        return io.NodeOutput(
            typed_blocks(scan.guess), report, chart, as_json(scan_numbers(scan)), ui=told
        )


def guider_of(model: Any, positive: Any, negative: Any, cfg: float) -> CFGGuider:
    """The host's guider; without a negative prompt the prompt is evaluated alone."""
    guider = CFGGuider(model)
    prompts = {"positive": positive}
    guider.inner_set_conds(prompts if negative is None else {**prompts, "negative": negative})
    guider.set_cfg(cfg)
    return guider


class Scanning:
    """The runs of one scan.

    model: the copy to sample, in whose calls the block that is told to is left out. ran: whether
        the last call without a block came to where that block is.
    """

    def __init__(self, model: Any, count: int, calls: int) -> None:
        self.count, self.calls, self.done = count, calls, 0
        self.show = progress(calls)
        self.block: int | None = None
        self.ran = False
        self.model = model.clone()
        self.model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, self.apply)

    def run(self, guider: CFGGuider, latent: dict, steps: int, seed: int) -> tuple:
        """The changes of one seed, for each step and block."""
        found: list[list[float]] = []

        def walk(model: Any, x: Any, sigmas: Any, extra_args: Any = None, **_: Any) -> Any:
            def predict(at: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
                self.show(self.done, self.calls)
                predicted = model(at, sigma * at.new_ones(len(at)), **(extra_args or {}))
                self.done += 1
                return predicted

            found.extend(leave_one_out(predict, x, sigmas, self.count, self.left_out))
            return x

        empty = empty_latent(self.model, latent)
        sampling = self.model.get_model_object("model_sampling")
        sigmas = calculate_sigmas(sampling, SCHEDULER, steps)
        noise = prepare_noise(empty, seed)
        guider.sample(noise, empty, KSAMPLER(walk), sigmas, disable_pbar=True, seed=seed)
        self.show(self.done, self.calls)
        return tuple(tuple(step) for step in found)

    @contextmanager
    def left_out(self, block: int) -> Iterator[None]:
        """Without this block inside. Raises ValueError if no call came to it."""
        self.block, self.ran = block, False
        try:
            yield
        finally:
            self.block = None
        if not self.ran:
            raise ValueError(NOT_REACHED.format(block))

    def apply(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        """Around one model call."""
        if self.block is None:
            return executor(*args, **kwargs)
        blocks = find_blocks(executor.class_obj.diffusion_model, (self.block, self.block))
        with in_place_of(Span(blocks, 1.0)) as span:
            out = executor(*args, **kwargs)
        self.ran |= bool(span.ran)
        return out


def empty_latent(model: Any, latent: dict) -> torch.Tensor:
    """One empty latent of this size `[1, C, ...]`, in the form that the model takes."""
    told = {name: latent[name] for name in RATIOS if name in latent}
    return fix_empty_latent_channels(model, torch.zeros_like(latent["samples"][:1]), **told)


def _inputs() -> list[Any]:
    return [
        io.Model.Input("model", tooltip=SCAN["model"].tooltip),
        io.Conditioning.Input("positive", tooltip=SCAN["positive"].tooltip),
        io.Latent.Input("latent", tooltip=SCAN["latent"].tooltip),
        io.Int.Input(
            "steps", default=8, min=LEAST_STEPS, max=MOST_STEPS, tooltip=SCAN["steps"].tooltip
        ),
        io.Int.Input("seeds", default=2, min=1, max=MOST_SEEDS, tooltip=SCAN["seeds"].tooltip),
        build(
            io.Int.Input,
            "first_seed",
            default=0,
            min=0,
            max=LARGEST_SEED - MOST_SEEDS,
            optional=True,
            tooltip=SCAN["first_seed"].tooltip,
            advanced=True,
        ),
        io.Float.Input(
            "cfg",
            default=1.0,
            min=0.0,
            max=100.0,
            step=0.1,
            optional=True,
            tooltip=SCAN["cfg"].tooltip,
        ),
        io.Conditioning.Input("negative", optional=True, tooltip=SCAN["negative"].tooltip),
    ]
