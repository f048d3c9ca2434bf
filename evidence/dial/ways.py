"""The ways and their rivals, one entry each: how it changes a run, and how strongly it may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from detour.schedule import Schedule

from .host import Host, Run
from .rivals import for_batches, noisy_prompt, without_attention


@dataclass(frozen=True)
class Setting:
    """How strongly something acts, and in which window from the first step on."""

    strength: float = 1.0
    end: float = 1.0
    shape: str = "constant"

    @property
    def schedule(self) -> Schedule:
        """The same as all ways take it."""
        return Schedule(self.strength, self.shape, 0.0, self.end)

    @property
    def label(self) -> str:
        """For a table."""
        window = f", 0 to {self.end:g}" if self.end < 1 else ""
        shape = "" if self.shape == "constant" else f", {self.shape}"
        return f"{self.strength:g}{window}{shape}"


@dataclass(frozen=True)
class Way:
    """Something that is said to bring variety.

    apply: the run with it. settings: to choose from, gentle ones first. is_ours: whether Detour
        ships it, else it is a rival. needs: without which it does nothing: `guidance` (CFG above
        1) or `prompt` (one that is not the negative prompt).
    """

    label: str
    apply: Callable[[Host, Run, Setting], Run]
    settings: tuple[Setting, ...]
    is_ours: bool = False
    needs: str = ""

    def can_act(self, prompt: str, cfg: float) -> bool:
        """Whether it can do anything for this prompt and scale."""
        return {"guidance": cfg > 1, "prompt": prompt != ""}.get(self.needs, True)


def _plain(_host: Host, run: Run, _setting: Setting) -> Run:
    return run


def patched(host: Host, run: Run, kind: str, setting: Setting, **more: Any) -> Run:
    """The run with one of Detour's ways (`bypass.Dial`, ...) in its MODEL, as its node puts it."""
    module, name = kind.split(".")
    way = getattr(host.pack(f"detour.ways.{module}"), name)
    schedule = host.pack("detour.schedule").Schedule(**asdict(setting.schedule))
    patch = host.pack("nodes.model_host").patch_model
    return replace(run, model=patch(run.model, way(schedule, **more), None))


def _bypass(host: Host, run: Run, setting: Setting) -> Run:
    return patched(host, run, "bypass.Dial", setting)


def _relief(host: Host, run: Run, setting: Setting) -> Run:
    return patched(host, run, "relief.Relief", setting)


def _fade(host: Host, run: Run, setting: Setting) -> Run:
    return patched(host, run, "fade.Fade", setting)


def _fade_to_noise(host: Host, run: Run, setting: Setting) -> Run:
    return patched(host, run, "fade.Fade", setting, toward="noise", seed=run.seed)


def _both(host: Host, run: Run, setting: Setting) -> Run:
    return _relief(host, _bypass(host, run, setting), setting)


def _attention(_host: Host, run: Run, setting: Setting) -> Run:
    return replace(run, model=without_attention(run.model, setting.schedule))


def _lower_cfg(_host: Host, run: Run, setting: Setting) -> Run:
    return replace(run, cfg=1 + (run.cfg - 1) * (1 - setting.strength))


def _noisy_prompt(_host: Host, run: Run, setting: Setting) -> Run:
    noisy = noisy_prompt(run.positive, setting.strength, run.seed, run.count)
    return replace(run, positive=noisy)


def _shift(_host: Host, run: Run, setting: Setting) -> Run:
    return replace(run, shift=setting.strength)


def _tsr(host: Host, run: Run, setting: Setting) -> Run:
    inputs = {"tsr_k": setting.strength, "tsr_sigma": 1.0}
    model = host.node("nodes_eps", "TemporalScoreRescaling", model=run.model, **inputs)
    return replace(run, model=for_batches(model))


def _freeu(host: Host, run: Run, setting: Setting) -> Run:
    inputs = {"b1": setting.strength, "b2": setting.strength, "s1": 1.0, "s2": 1.0}
    return replace(run, model=host.node("nodes_freelunch", "FreeU_V2", model=run.model, **inputs))


def _placebo(host: Host, run: Run, setting: Setting) -> Run:
    return replace(run, model=host.placebo(run.model, setting.strength, setting.end, run.seed))


def _ancestral(_host: Host, run: Run, setting: Setting) -> Run:
    return replace(run, sampler="euler_ancestral", options={"eta": setting.strength})


def _best_of(_host: Host, run: Run, setting: Setting) -> Run:
    times = round(setting.strength)
    return replace(run, draws=times, steps=run.steps // times)


def _strengths(*values: float) -> tuple[Setting, ...]:
    return tuple(Setting(value) for value in values)


WINDOWS = (
    *(Setting(end=end) for end in (0.15, 0.3, 0.45)),
    Setting(1.0, 0.6, "ramp_down"),
)
PLAIN, BYPASS, PLACEBO = "plain", "bypass", "placebo"
WAYS: Mapping[str, Way] = MappingProxyType(
    {
        PLAIN: Way("as it is", _plain, (Setting(0.0),)),
        BYPASS: Way("bypass of the mid-block", _bypass, WINDOWS, is_ours=True),
        "relief": Way("guidance relief", _relief, WINDOWS, is_ours=True, needs="guidance"),
        "fade": Way("prompt fade", _fade, WINDOWS, is_ours=True, needs="prompt"),
        "fade_noise": Way("prompt fade to noise", _fade_to_noise, WINDOWS, is_ours=True),
        "both": Way("bypass and relief", _both, WINDOWS, is_ours=True, needs="guidance"),
        "attention": Way(
            "mid-block without attention",
            _attention,
            tuple(setting for setting in WINDOWS if setting.shape == "constant"),
        ),
        "lower_cfg": Way(
            "lower CFG throughout", _lower_cfg, _strengths(0.25, 0.5, 0.75), needs="guidance"
        ),
        "noisy_prompt": Way("noise on the prompt", _noisy_prompt, _strengths(0.25, 0.5, 1, 2)),
        "shift": Way("higher shift", _shift, _strengths(1.5, 2, 3, 5)),
        "tsr": Way("TSR, k", _tsr, _strengths(0.95, 0.9, 0.8, 0.7)),
        "freeu": Way("FreeU V2, b", _freeu, _strengths(0.95, 0.9, 0.8, 0.6)),
        "ancestral": Way("ancestral noise, eta", _ancestral, _strengths(0.25, 0.5, 1)),
        "best_of": Way("best of N, equal compute", _best_of, _strengths(2, 4)),
        PLACEBO: Way("placebo: noise", _placebo, _strengths(0.25, 0.5, 0.75, 1, 1.5, 2, 3)),
    }
)
