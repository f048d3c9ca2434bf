"""How ways get into a MODEL of ComfyUI: wrappers on a clone of its patcher, under one constant
key, and one object for all the ways of a MODEL. How each of them acts is in `acting.py`.

Nothing of the model is kept between calls, so nothing can be left behind. torch.compile makes a
new graph for whatever is new in a call's transformer options, so that the U-Net is given those
that it would have without Detour.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from comfy.patcher_extension import CallbacksMP, WrappersMP

from ..detour.ways.way import Way
from .acting import ACTING, Acting, Conditionings, Evaluation, ModelCall
from .notices import Teller
from .run import Moment, Run, SamplerSteps, is_second_models, keeps_rule, roles_of

KEY = "detour"
"""Of our wrappers, and of what we keep in a run's transformer options."""
ACTED = "_detour_acted"
"""Set on a model patcher whose wrappers were called in the run under way."""
LEFT_OUT = (
    "This model is the second one of a guider for two models, which leaves out what is patched "
    "into it: nothing was done. Connect this node to the guider's first model."
)


def options_of(args: tuple, kwargs: dict) -> dict:
    """The call's options: the sixth positional argument, or a keyword if a wrapper made it one."""
    if "transformer_options" in kwargs:
        return kwargs["transformer_options"]
    return args[3] if len(args) > 3 else {}


def with_options(options: dict, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The arguments with other options in the same place."""
    if "transformer_options" in kwargs:
        return args, {**kwargs, "transformer_options": options}
    return ((*args[:3], options, *args[4:]) if len(args) > 3 else args), kwargs


def is_first(kind: str, options: dict) -> bool:
    """Whether no wrapper of this kind comes before ours, which could have changed the sigmas."""
    return next(iter(options.get("wrappers", {}).get(kind, {})), KEY) == KEY


def handed_on(options: dict, ran: list[bool]) -> tuple[dict, bool]:
    """The options without ours, and whether `ran` will get an entry if the U-Net runs.

    It surely runs where nothing else hangs around it. Else (EasyCache answers some calls by
    itself) the innermost wrapper there notes it.
    """
    if len(options.get(KEY, ())) > 1:  # others of us come later in the call (a hook's)
        return options, False
    plain = {name: value for name, value in options.items() if name != KEY}
    for kind in ("wrappers", "callbacks"):
        if kind in plain:
            plain[kind] = _without_ours(plain[kind])
    around = plain.get("wrappers", {}).get(WrappersMP.DIFFUSION_MODEL)
    if around:
        around[KEY] = [_note_that_it_runs]
        plain[KEY] = ran
    return plain, bool(around)


def _without_ours(by_kind: dict[str, dict]) -> dict[str, dict]:
    kept = {
        kind: {key: functions for key, functions in by_key.items() if key != KEY}
        for kind, by_key in by_kind.items()
    }
    return {kind: by_key for kind, by_key in kept.items() if by_key}


@torch.compiler.disable(recursive=False)
def _note_that_it_runs(executor: Any, *args: Any, **kwargs: Any) -> Any:
    for given in (*args, *kwargs.values()):
        if isinstance(given, dict) and KEY in given:
            given[KEY].append(True)
    return executor(*args, **kwargs)


@dataclass(frozen=True, eq=False)
class Ways:
    """The ways of the nodes of a MODEL, in their order. Immutable and shared by all clones of it.

    tellers: for each way who says on its node what a run did.
    """

    ways: tuple[Way, ...] = ()
    tellers: tuple[Teller, ...] = ()

    def and_then(self, way: Way, node_id: str | None) -> Ways:
        """These, and one more behind them."""
        return Ways((*self.ways, way), (*self.tellers, Teller(node_id)))

    def wrappers(self) -> dict[str, Callable]:
        """What to register with the model patcher, by kind of wrapper."""
        return {
            WrappersMP.SAMPLER_SAMPLE: self.sample,
            WrappersMP.PREDICT_NOISE: self.evaluate,
            WrappersMP.CALC_COND_BATCH: self.condition,
            WrappersMP.APPLY_MODEL: self.apply,
        }

    # --- one run, from its sampler down to its model calls -----------------------------------

    def sample(
        self,
        executor: Any,
        guider: Any,
        sigmas: Any,
        extra_args: Any,
        callback: Any,
        *rest,
        **named,
    ) -> Any:
        """Around one sampling run: follow its steps, count its calls, and say what was done."""
        steps = SamplerSteps(
            tuple(sigmas.flatten().tolist()),
            keeps_rule=keeps_rule(executor.class_obj)
            # Such a function may call the model at other sigmas than it was told.
            and "model_function_wrapper" not in guider.model_options,
        )
        in_tiles = bool(guider.model_options.get("tiled_diffusion"))
        run = Run(self._acting(), guider, steps, in_tiles)
        self._begin(run)
        options = extra_args["model_options"].setdefault("transformer_options", {})
        options.update(self._joined(run, options))
        result = executor(guider, sigmas, extra_args, steps.listening(callback), *rest, **named)
        self._tell(run)
        return result

    @staticmethod
    def _begin(run: Run) -> Run:
        """Let each way look at the guider, and read from the device what can be read before."""
        for acting in run.acting:
            acting.begin(run.guider)
            if acting.way.schedule.schedule_by == "sigma":
                run.clock(acting.way.schedule, run.guider.inner_model.model_sampling, None)
        return run

    def _tell(self, run: Run) -> None:
        """Say on each node what its way did in a run."""
        for teller, acting in zip(self.tellers, run.acting, strict=True):
            coverage = acting.coverage
            teller.tell(coverage.summary(), missed=coverage.missed() is not None)

    def evaluate(
        self, executor: Any, x: Any, timestep: Any, model_options: Any, *rest: Any, **named: Any
    ) -> Any:
        """Around the guider's work for one call by its sampler."""
        options = model_options.get("transformer_options", {})
        guider = executor.class_obj
        run = self._run(options)
        if run is None:  # a guider that goes to its sampler in a way of its own
            run = self._begin(Run(self._acting(), guider))
            options = self._joined(run, options)
            model_options = {**model_options, "transformer_options": options}
        if run.steps is not None:
            run.steps.evaluated(timestep if is_first(WrappersMP.PREDICT_NOISE, options) else None)
        sampling = guider.inner_model.model_sampling
        moment = Moment(run, sampling, timestep, timestep, options.get("sample_sigmas"))
        scale = getattr(guider, "cfg", None)
        evaluation = Evaluation(run, guider, x, model_options, moment, scale)
        with ExitStack() as opened:
            for acting in run.acting:
                opened.enter_context(acting.evaluation(evaluation))
            run.scale = getattr(guider, "cfg", None)
            return executor(x, timestep, evaluation.model_options, *rest, **named)

    def condition(
        self, executor: Any, model: Any, conds: Any, x: Any, timestep: Any, model_options: Any
    ) -> Any:
        """Around the evaluation of some conditionings: note what they are."""
        options = model_options.get("transformer_options", {})
        run = self._run(options)
        if run is None:
            return executor(model, conds, x, timestep, model_options)
        before = run.roles, run.is_seconds
        run.roles = roles_of(run.guider, conds)
        run.is_seconds = is_second_models(run.guider, model, conds)
        try:
            if self._acts(run):
                of_run = options.get("sample_sigmas")
                moment = Moment(run, model.model_sampling, timestep, timestep, of_run)
                changing = Conditionings(run, model, list(conds), x, options, moment)
                for acting in run.acting:
                    acting.conditionings(changing)
                conds = changing.lists
            return executor(model, conds, x, timestep, model_options)
        finally:
            run.roles, run.is_seconds = before

    def apply(self, executor: Any, x: Any, t: Any, *args: Any, **kwargs: Any) -> Any:
        """Around one model call: `x [B, ...]`, `t` its sigma for each row of the batch."""
        options = options_of(args, kwargs)
        run = self._run(options) or Run(self._acting())
        if not self._acts(run):
            return executor(x, t, *args, **kwargs)
        base = executor.class_obj
        of_host = options.get("sigmas") if is_first(WrappersMP.APPLY_MODEL, options) else None
        moment = Moment(run, base.model_sampling, t, of_host, options.get("sample_sigmas"))
        ran: list[bool] = []
        plain, is_counted = handed_on(options, ran)
        args, named = with_options(plain, args, kwargs)
        call = ModelCall(run, base, x, options, dict(named), moment, ran if is_counted else None)
        with ExitStack() as opened:
            for acting in run.acting:
                opened.enter_context(acting.model_call(call))
            return executor(x, t, *args, **call.named)

    def _joined(self, run: Run, options: dict) -> dict:
        """Transformer options with a run of ours, by which those who come later find it."""
        setattr(run.guider.model_patcher, ACTED, True)
        return {**options, KEY: {**options.get(KEY, {}), self: run}}

    def _run(self, options: dict) -> Run | None:
        return options.get(KEY, {}).get(self)

    def _acting(self) -> tuple[Acting, ...]:
        return tuple(ACTING[type(way)](way) for way in self.ways)

    def _acts(self, run: Run) -> bool:
        """False in what the guider's second model evaluates, if it has not these very ways."""
        second = getattr(run.guider, "uncond_model_patcher", None)
        is_same = second is not None and ways_of(second) is self
        return not run.is_seconds or is_same

    # --- a model that the run leaves out -----------------------------------------------------

    def before_run(self, patcher: Any) -> None:
        """The host's callback before a run with this model."""
        if hasattr(patcher, ACTED):
            delattr(patcher, ACTED)

    def after_run(self, patcher: Any) -> None:
        """The host's callback after one, good or not: say so if the run never called us."""
        failed = sys.exc_info()[0] is not None
        if failed or hasattr(patcher, ACTED) or getattr(patcher, "is_multigpu_base_clone", False):
            return
        for teller in self.tellers:
            teller.tell(LEFT_OUT, missed=True)


def ways_of(model: Any) -> Ways | None:
    """The ways of a MODEL."""
    wrappers = model.get_wrappers(WrappersMP.APPLY_MODEL, KEY)
    return wrappers[-1].__self__ if wrappers else None


def patch_model(model: Any, way: Way, node_id: str | None) -> Any:
    """A clone of a MODEL with one more way; the given one is not touched.

    node_id: the node that shows what a run did.
    Raises ValueError if the way cannot act in this model.
    """
    ACTING[type(way)].require(model, way)
    patched = model.clone()
    if not way.schedule.is_off:
        _register(patched, (ways_of(model) or Ways()).and_then(way, node_id))
    return patched


def _register(patched: Any, ways: Ways) -> None:
    """Put the wrappers of all ways in, in the place of those that were there: one set of them,
    under one key, however many ways a MODEL goes through."""
    for kind, wrapper in ways.wrappers().items():
        # Not by the patcher's own ways to remove: the place among other packs' wrappers stays.
        patched.wrappers.setdefault(kind, {})[KEY] = [wrapper]
    for kind, callback in (
        (CallbacksMP.ON_PRE_RUN, ways.before_run),
        (CallbacksMP.ON_CLEANUP, ways.after_run),
    ):
        patched.callbacks.setdefault(kind, {})[KEY] = [callback]
