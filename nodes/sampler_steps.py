"""Between which sigmas a model call lies, told without waiting for the device.

A call's sigma lies on the device, and to read it is to wait for all work before it. But the
list of sigmas is known before the run, and ComfyUI's own samplers say at each step, after its
first call, which one it is. The rule: **after the word for step i and until the next one, all
calls lie between sigmas[i + 2] and 1.5 * sigmas[i]**. (The rest of step i lies between
sigmas[i] and sigmas[i + 1], heunpp2's one step further; then comes the first call of step
i + 1. Churn starts a step at up to sqrt(2) times its sigma.) If no window touches that, the
call is outside. Whatever is not known to keep the rule is read: other packs' samplers,
dpm_fast and dpm_adaptive, options that reach further, calls that are not the sampler's own, and
calls that another pack's wrapper gets before ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from comfy.samplers import KSAMPLER

ABOVE = 1.5
BELOW = 1 - 1e-4
MOST_CALLS = 3
"""Of the model between two words of a sampler that keeps the rule."""

MODULES = ("comfy.k_diffusion.sampling", "comfy.extra_samplers.uni_pc")
KEEP_THE_RULE = frozenset(
    f"sample_{name}"
    for name in (
        *("euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2"),
        *("dpm_2", "dpm_2_ancestral", "lms", "ddpm", "lcm", "ipndm", "ipndm_v", "deis"),
        *("dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde", "dpmpp_sde_gpu"),
        *("dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu"),
        *("dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
        *("res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral"),
        *("res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp"),
        *("er_sde", "sa_solver", "sa_solver_pece", "seeds_2", "seeds_3"),
        *("exp_heun_2_x0", "exp_heun_2_x0_sde", "unipc", "unipc_bh2"),
    )
)
REACH_FURTHER = ("eta", "r", "r_1", "r_2")
"""Options that move a call past the next step where they are not from 0 to 1."""


@dataclass
class SamplerSteps:
    """One run of a sampler: its list of sigmas, and the step that it last told.

    sigmas: in the order of the run, the closing one included. keeps_rule: see above.
    """

    sigmas: tuple[float, ...]
    keeps_rule: bool
    told: int | None = None
    calls: int = 0
    timestep: Any = None

    def listening(self, callback: Callable | None) -> Callable:
        """The run's callback, which now notes the step as well."""

        def tell(step: int, *rest: Any, **named: Any) -> Any:
            self.told, self.calls = step, 0
            return None if callback is None else callback(step, *rest, **named)

        return tell

    def evaluated(self, timestep: Any) -> None:
        """Note a call of the guider by its sampler: `timestep` holds the sigmas, on the device."""
        self.timestep = timestep
        self.calls += 1

    def span(self, timestep: Any) -> tuple[float, float] | None:
        """The least and the greatest sigma that the present call may have; None if only the
        device knows. timestep: the sigmas by which the host makes the call."""
        ours = timestep is not None and timestep is self.timestep
        if not (self.keeps_rule and ours and self.calls <= MOST_CALLS):
            return None
        near = self.sigmas[:2] if self.told is None else self.sigmas[self.told : self.told + 3]
        return (min(near) * BELOW, max(near) * ABOVE) if near else None

    @property
    def next(self) -> float:
        """The sigma of the step that is under way or comes next."""
        step = 0 if self.told is None else self.told + 1
        return self.sigmas[min(step, max(len(self.sigmas) - 2, 0))]


def keeps_rule(sampler: Any) -> bool:
    """Whether a sampler is known to call the model by the rule above."""
    if type(sampler) is not KSAMPLER:
        return False
    function, options = sampler.sampler_function, sampler.extra_options
    known = getattr(function, "__module__", "") in MODULES
    known = known and getattr(function, "__name__", "") in KEEP_THE_RULE
    return known and all(0.0 <= options.get(name, 1.0) <= 1.0 for name in REACH_FURTHER)
