"""What the tests of guiders share: runs of a guider by itself, and an oracle that tells rows by
their text. Not a test file: `conftest.py` loads it and hands it out as the fixture `guided`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Guided:
    """The helpers, with the lab that they work in."""

    lab: Any

    def sampled(self, guider, model, steps: int = 3, sampler: str = "euler") -> torch.Tensor:
        """A run of a guider by itself, as SamplerCustomAdvanced does it."""
        sigmas = self.lab.comfy.samplers.calculate_sigmas(
            model.model.model_sampling, "normal", steps
        )
        noise = self.lab.latent(model)
        plan = self.lab.comfy.samplers.sampler_object(sampler)
        return guider.sample(
            noise, torch.zeros_like(noise), plan, sigmas, disable_pbar=True, seed=5
        )

    def texts(self, model) -> dict[str, list]:
        """The conditionings of a run by name, none like another."""
        names = ("positive", "negative", "third")
        return {name: self.lab.conditioning(model, 10 * (at + 1)) for at, name in enumerate(names)}

    def ordinary(self, model) -> Any:
        """The host's CFGGuider, in a class of another pack's."""

        class Own(self.lab.comfy.samplers.CFGGuider):
            pass

        guider, text = Own(model), self.texts(model)
        guider.set_conds(text["positive"], text["negative"])
        guider.set_cfg(3.0)
        return guider

    def dual(self, model, style: str = "regular", **texts: list) -> Any:
        """The host's DualCFGGuider: it evaluates the negative prompt first."""
        text = {**self.texts(model), **texts}
        node = self.lab.extra_node("nodes_custom_sampler", "DualCFGGuider")
        return node.execute(
            model=model,
            cond1=text["positive"],
            cond2=text["third"],
            negative=text["negative"],
            cfg_conds=3.0,
            cfg_cond2_negative=2.0,
            style=style,
        ).result[0]

    def perp_neg(self, model, **texts: list) -> Any:
        """The host's PerpNegGuider: prompt, negative prompt, empty prompt."""
        text = {**self.texts(model), **texts}
        node = self.lab.extra_node("nodes_perpneg", "PerpNegGuider")
        return node.execute(
            model=model,
            positive=text["positive"],
            negative=text["negative"],
            empty_conditioning=text["third"],
            cfg=3.0,
            neg_scale=1.0,
        ).result[0]

    def by_text(self, model, half: str, lam: float) -> Callable:
        """The blend by its formula for rows with the text of one conditioning: told by what the
        U-Net gets, not by any place."""
        wanted = self.texts(model)["positive" if half == "cond" else "negative"][0][0]

        def change(out, h, options):
            context = options["seen_context"]
            rows = [torch.equal(row, wanted[0]) for row in context]
            each = zip(out, h, rows, strict=True)
            mixed = [torch.lerp(o, i, lam) if is_one else o for o, i, is_one in each]
            return torch.stack(mixed)

        return change

    def noting_context(self, model):
        """A clone of the MODEL whose calls tell the text of each row to `by_text`."""
        clone = model.clone()

        def note(executor, x, t, concat, context, control, options, **named):
            told = {**options, "seen_context": context}
            return executor(x, t, concat, context, control, told, **named)

        clone.add_wrapper_with_key(self.lab.WrappersMP.APPLY_MODEL, "context", note)
        return clone
