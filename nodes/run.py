"""What is known of a sampling run under way: whose row is which, and between which sigmas a call
lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from comfy.samplers import KSAMPLER

from ..detour.progress import SigmaTable, StepTable
from ..detour.schedule import Schedule

# Which rows of a model call belong to the prompt and which to the negative prompt.
#
# The host tells for each chunk of a batch its place in the list of conditionings that were
# evaluated, and what lies at a place depends on who evaluated them: the guiders for two and three
# conditionings have orders of their own, and some patches evaluate one alone. So the conditionings
# themselves are looked up in the guider's.

ROLES: dict[str, bool | None] = {
    "positive": True,
    "negative": False,
    "middle": None,  # DualCFGGuider's second conditioning
    "empty_negative_prompt": None,  # PerpNegGuider's
}
"""What a guider's conditionings are, by its name for them: the prompt, the negative prompt, or
(None) a third one that is neither."""
UNKNOWN = "unknown"
Role = bool | str | None
REFUSAL = (
    "It cannot be told which rows of this model call belong to the prompt and which to the "
    "negative prompt; use apply_to = both."
)


def roles_of(guider: Any, conds: Sequence[Any]) -> tuple[Role, ...]:
    """For each of the conditionings that are evaluated together its role for `guider`."""
    return tuple(_role(getattr(guider, "conds", None) or {}, cond) for cond in conds)


def _role(known: dict[str, Any], cond: Any) -> Role:
    """By the list itself. Where it was cut to a window, by the ids of its parts in their order:
    an id alone may be in two lists, since areas get a copy in each."""
    names = [name for name, own in known.items() if own is cond]
    if not names:
        names = [name for name, own in known.items() if cond and _ids(own) == _ids(cond)]
    roles = {ROLES.get(name, UNKNOWN) for name in names}
    return roles.pop() if len(roles) == 1 else UNKNOWN


def _ids(cond: Any) -> list[Any]:
    return [part.get("uuid", object()) for part in cond or ()]


def conditioned(
    options: dict[str, Any], roles: Sequence[Role], rows: int, in_tiles: bool
) -> list[bool | None]:
    """For each row of a model call whether it belongs to the prompt; None is neither.

    options: the call's transformer options. roles: of the conditionings under way, by place.
    in_tiles: whether the rows of all chunks may come once for each of several tiles.
    Raises ValueError where it cannot be told.
    """
    chunks, latents = options.get("cond_or_uncond"), options.get("sigmas")
    if not chunks or latents is None or max(chunks) >= len(roles):
        raise ValueError(REFUSAL)
    found = [roles[chunk] for chunk in chunks for _ in range(len(latents))]
    tiles, rest = divmod(rows, len(found) or 1)
    if UNKNOWN in found or rest or tiles < 1 or (tiles > 1 and not in_tiles):
        raise ValueError(REFUSAL)
    return [role for role in found if not isinstance(role, str)] * tiles


def is_second_models(guider: Any, model: Any, conds: Sequence[Any]) -> bool:
    """True if the guider evaluates a model other than the one that it was made for:
    DualModelGuider gives the negative prompt to a second one, which may be a patched copy that
    shares everything with the first."""
    seconds = getattr(guider, "_uncond_conds", None)
    is_seconds = seconds is not None and any(cond is seconds for cond in conds)
    return is_seconds or model is not getattr(guider, "inner_model", model)


# Between which sigmas a model call lies, told without waiting for the device.
#
# A call's sigma lies on the device, and to read it is to wait for all work before it. But the
# list of sigmas is known before the run, and ComfyUI's own samplers say at each step, after its
# first call, which one it is. The rule: **after the word for step i and until the next one, all
# calls lie between sigmas[i + 2] and 1.5 * sigmas[i]**. (The rest of step i lies between
# sigmas[i] and sigmas[i + 1], heunpp2's one step further; then comes the first call of step
# i + 1. Churn starts a step at up to sqrt(2) times its sigma.) If no window touches that, the
# call is outside. Whatever is not known to keep the rule is read: other packs' samplers,
# dpm_fast and dpm_adaptive, options that reach further, calls that are not the sampler's own, and
# calls that another pack's wrapper gets before ours.


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


@dataclass
class Run:
    """One run; it lives in the run's transformer options and is gone with them.

    acting: one for each way of the MODEL. roles, is_seconds: of the conditionings that are
        evaluated. in_tiles: whether a pack cuts each model call into tiles. scale: of guidance, as
        our ways left it to who comes behind them.
    """

    acting: tuple[Any, ...]
    guider: Any = None
    steps: SamplerSteps | None = None
    in_tiles: bool = False
    roles: tuple[Role, ...] = ()
    is_seconds: bool = False
    scale: float | None = None
    tables: dict[tuple[str, int], tuple[object, Any]] = field(default_factory=dict)

    def clock(self, schedule: Schedule, model_sampling: Any, of_run: Any) -> SigmaTable | StepTable:
        """The table that tells the progress for a schedule.

        of_run: the run's sigmas as its calls are given them, for a run that is not known.
        """
        if schedule.schedule_by == "sigma":
            return self._table(
                "sigma", model_sampling, lambda: SigmaTable.of(model_sampling.sigmas)
            )
        if self.steps is not None:
            sigmas = self.steps.sigmas
            return self._table("step", sigmas, lambda: StepTable(sigmas))
        if of_run is None:
            raise ValueError(
                "schedule_by = step needs the sampler's list of sigmas, and this sampler does "
                "not give it; use schedule_by = sigma."
            )
        return self._table("step", of_run, lambda: StepTable.of(of_run))

    def _table(self, name: str, source: object, make: Callable[[], Any]) -> Any:
        """`make()`, kept for each `source`; there are several where a run has several devices."""
        place = (name, id(source))
        if place not in self.tables:
            self.tables[place] = (source, make())  # the source too: else its id could come again
        return self.tables[place][1]


@dataclass(frozen=True)
class Moment:
    """When an evaluation or a model call is. All that happens then shares one look at it, so that
    the device is waited for at most once, and only where a window may be near.

    sigmas: of each row, on the device. timestep: the same by which the host evaluates. of_run: see
        `Run.clock`.
    """

    run: Run
    model_sampling: Any
    sigmas: Any
    timestep: Any
    of_run: Any = None

    def progress(self, schedule: Schedule) -> tuple[float, ...]:
        """Of each row. Far from the schedule's window one row stands for all of them."""
        clock = self.run.clock(schedule, self.model_sampling, self.of_run)
        steps, span = self.run.steps, self._span
        if steps is not None and isinstance(clock, StepTable) and clock.comes_again:
            return tuple(clock.progress_after(steps.told, sigma) for sigma in self._read)
        if steps is not None and span is not None:
            low, high = span
            if not schedule.reaches(*sorted((clock.progress(high), clock.progress(low)))):
                return (clock.progress(steps.next),)
        return tuple(clock.progress(sigma) for sigma in self._read)

    @cached_property
    def _span(self) -> tuple[float, float] | None:
        return None if self.run.steps is None else self.run.steps.span(self.timestep)

    @cached_property
    def _read(self) -> list[float]:
        return self.sigmas.flatten().tolist()  # the one wait for the device
