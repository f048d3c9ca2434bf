"""Guidance with another scale at each evaluation, by hand: the oracle of the relief. Not a test
file: `conftest.py` loads it and hands it out as the fixture `reliefs`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Reliefs:
    """The helpers, with the labs that they work in."""

    lab: Any
    guided: Any

    def relief(self, model: Any, strength: float = 1.0, **inputs: Any) -> Any:
        """A MODEL through the node; by default over the whole denoising."""
        given = {"start_percent": 0.0, "end_percent": 1.0, **inputs}
        return self.lab.run_node("DetourGuidanceRelief", model=model, strength=strength, **given)[0]

    def guider(self, model: Any, cfg: float = 3.0, **texts: Any) -> Any:
        """The host's CFGGuider with two texts."""
        return self._set_up(self.lab.comfy.samplers.CFGGuider(model), model, cfg, texts)

    def by_hand(
        self, model: Any, lam: Callable[[float], float], cfg: float = 3.0, **texts: Any
    ) -> Any:
        """A guider of our own, whose scale is `1 + (cfg - 1) * (1 - lam)` for the lam at the
        progress of each evaluation, and `cfg` itself where there is none."""
        lab = self.lab

        class ByHand(lab.comfy.samplers.CFGGuider):
            scales: list[float] = []  # noqa: RUF012 - of the class, which is new for each guider

            def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006
                one = lam(lab.progress_by_hand(model, float(timestep[0])))
                scale = cfg if one == 0.0 else 1 + (cfg - 1) * (1 - one)
                self.scales.append(scale)
                conds = self.conds["negative"], self.conds["positive"]
                return lab.comfy.samplers.sampling_function(
                    self.inner_model, x, timestep, *conds, scale, model_options, seed
                )

        return self._set_up(ByHand(model), model, cfg, texts)

    def _set_up(self, guider: Any, model: Any, cfg: float, texts: dict[str, Any]) -> Any:
        own = {**self.guided.texts(model), **texts}
        guider.set_conds(own["positive"], own["negative"])
        guider.set_cfg(cfg)
        return guider

    def sampled(self, guider: Any, **settings: Any) -> torch.Tensor:
        """A run of a guider by itself."""
        return self.guided.sampled(guider, guider.model_patcher, **settings)

    def rows(self, model: Any, sample: Callable[[Any], torch.Tensor]) -> int:
        """How many rows came to the model in `sample(MODEL)`."""
        seen: list[int] = []
        clone = model.clone()

        def note(executor: Any, x: Any, *rest: Any, **named: Any) -> Any:
            seen.append(len(x))
            return executor(x, *rest, **named)

        clone.add_wrapper_with_key(self.lab.WrappersMP.APPLY_MODEL, "rows", note)
        sample(clone)
        return sum(seen)
