"""The prompt replaced step by step, by the host's own means: the oracle of the fade. Not a test
file: `conftest.py` loads it and hands it out as the fixture `fades`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch


@dataclass
class Fades:
    """The helpers, with the lab that they work in."""

    lab: Any

    def fade(self, model: Any, strength: float = 1.0, **inputs: Any) -> Any:
        """A MODEL through the node; by default over the first half of the steps."""
        given = {"start_percent": 0.0, "end_percent": 0.5, "schedule_by": "step", **inputs}
        return self.lab.run_node("DetourPromptFade", model=model, strength=strength, **given)[0]

    def mixed(self, positive: list, negative: list, lam: float) -> list:
        """The CONDITIONING that the prompt is at a lam: its texts by the formula, the rest its
        own."""
        return [self._mixed(part, negative[0], lam) for part in positive]

    def _mixed(self, part: list, other: list, lam: float) -> list:
        if lam == 0.0:
            return part
        (text, extra), (other_text, other_extra) = part, other
        if lam == 1.0:
            text = other_text
        elif text.shape[1] == other_text.shape[1]:
            text = torch.lerp(text, other_text, lam)
        else:
            raise NotImplementedError("mix it in the test")
        pooled, other_pooled = extra.get("pooled_output"), other_extra.get("pooled_output")
        if pooled is not None:
            extra = {**extra, "pooled_output": torch.lerp(pooled, other_pooled, lam)}
        return [text, extra]

    def by_steps(self, model: Any, sigmas: Sequence[float], conds: Sequence[list]) -> list:
        """One CONDITIONING that is each of `conds` at one step: the host's timestep ranges, with
        borders half-way between two sigmas."""
        sampling = model.get_model_object("model_sampling")
        inner = [
            _percent(sampling, (high * low) ** 0.5) for high, low in pairwise(sigmas[: len(conds)])
        ]
        borders = [0.0, *inner, 1.0]
        ranged = []
        for place, cond in enumerate(conds):
            times = {"start_percent": borders[place], "end_percent": borders[place + 1]}
            ranged += [[text, {**extra, **times}] for text, extra in cond]
        return ranged


def _percent(sampling: Any, sigma: float) -> float:
    """The place at which the host's `percent_to_sigma` is this sigma."""
    return bisected(lambda percent: float(sampling.percent_to_sigma(percent)) > sigma)


def bisected(is_before: Callable[[float], bool]) -> float:
    """Where a condition that holds from 0 on ends, in 0..1."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_before(middle) else (low, middle)
    return high
