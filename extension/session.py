"""The bypass of one sampler call: opened and closed around it, whatever ends it.

The hosts give no other place that is reached after an error or an interrupt. The U-Net is
looked up anew at each denoiser call, since a refiner or a host may have put another one in;
hooks in it put the stand-in around each of its calls.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from ..detour.progress import SigmaTable, StepTable
from ..detour.ways.bypass import BypassCoverage, Call, Dial, bypassed
from ..detour.ways.targets import REFUSAL, find_mid_block, mid_attention_is_read
from . import host
from .host import log
from .settings import Settings


class UNetCalls:
    """Bypasses the calls of one U-Net by what `set` said last; `detach` leaves no trace.

    acted: whether any row was bypassed yet.
    """

    def __init__(self, dial: Dial) -> None:
        self.dial = dial
        self.progress = 0.0
        self.acted = False
        self.rows: host.Rows | None = None
        self.unet: nn.Module | None = None
        self.hooks: list[Any] = []
        self.under_way = ExitStack()

    def set(self, unet: nn.Module, progress: float, rows: host.Rows | None = None) -> None:
        """From now on bypass calls of `unet` as the dial says for `progress`; where that is not at
        all, take everything out.

        rows: whose rows the coming calls will have, unless all are bypassed alike.
        Raises ValueError if the U-Net has no mid-block.
        """
        self.progress, self.rows = progress, rows
        acts = self.dial.schedule.lam(progress) != 0.0
        if acts and unet is self.unet:
            return
        self.detach()
        if not acts:
            return
        find_mid_block(unet)
        self.unet = unet
        self.hooks = [
            unet.register_forward_pre_hook(self._enter, with_kwargs=True),
            unet.register_forward_hook(self._leave, always_call=True),
        ]

    def detach(self) -> None:
        """Take hooks and stand-in out, whatever state the U-Net is in."""
        self.under_way.close()
        for hook in self.hooks:
            hook.remove()
        self.unet, self.hooks = None, []

    def _enter(self, unet: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self.under_way.close()  # torch tells no hook of a call that an interrupt ended
        options = kwargs.get("transformer_options") or {}
        x = args[0] if args else kwargs["x"]
        is_cond = () if self.rows is None else self.rows.conditioned(options, x.shape[0])
        call = self.dial.call([self.progress] * x.shape[0], is_cond)
        self.acted = self.acted or any(call.lams)
        is_read = mid_attention_is_read(options)
        self.under_way.enter_context(bypassed(unet, call, is_read=is_read, device=x.device))

    def _leave(self, _unet: nn.Module, _args: tuple, _output: Any) -> None:
        self.under_way.close()


ARMED = "_detour_armed"
LEFT_OUT = "_detour_left_out"


class Session:
    """What is known of the sampler call under way."""

    def __init__(self, p: Any, settings: Settings) -> None:
        self.p = p
        self.refiner = settings.refiner
        self.dial = settings.dial(bool(getattr(p, "is_hr_pass", False)))
        self.coverage = BypassCoverage(self.dial)
        self.calls = UNetCalls(self.dial)
        self.sampler_arguments: dict[str, Any] = {}
        self.table: tuple[object, SigmaTable] | None = None
        self.steps: StepTable | None = None
        self.left_out = 0
        self.gave_up = self.cut_short = False

    def follow(self, params: Any) -> None:
        """Set the bypass for the denoiser call that `params` announces."""
        if self.gave_up:
            return
        followed = False
        try:
            progress = self._progress(params)
            wanted = self._wants_this_model()
            self.left_out += not wanted
            lam = self.dial.schedule.lam(progress) if wanted else 0.0
            self.coverage.record(Call(self.dial, (progress,), (lam,)))
            unet = host.find_unet(self.p)
            if unet is None:
                raise ValueError(REFUSAL)
            rows = None if self.dial.apply_to == "both" else host.rows_of(self.p, params)
            if wanted:
                self.calls.set(unet, progress, rows)
            else:
                self.calls.detach()
            followed = True
        except ValueError as error:  # the host would only print it and go on
            host.tell(self.p, str(error))
        finally:
            if not followed:  # never the bypass of an earlier call
                self.gave_up = True
                self.calls.detach()

    def close(self) -> None:
        """Leave the model as it was, and say so if nothing was bypassed in a whole run."""
        self.calls.detach()
        calls = self.coverage.calls
        if self.gave_up or self.cut_short or not calls:
            return
        if self.left_out == calls:
            notice = self._no_such_model()
        else:
            notice = self._missed()
        if notice:
            host.tell(self.p, notice)
        else:
            log.info("Detour: %s", self.coverage.summary())

    def _missed(self) -> str | None:
        """The notice where nothing could be bypassed: the window or the half was never there."""
        if self.dial.apply_to != "both" and not self.calls.acted:
            self.coverage.other_half, self.coverage.bypassed = self.coverage.bypassed, 0
        return self.coverage.missed()

    def _no_such_model(self) -> str | None:
        """The notice where no pass of a generation has the model that the setting names: the
        hosts use the refiner in the hires pass alone, if they are not told otherwise."""
        is_hires = bool(getattr(self.p, "is_hr_pass", False))
        first_too = getattr(self.p, LEFT_OUT, False)
        setattr(self.p, LEFT_OUT, True)
        if is_hires != bool(getattr(self.p, "enable_hr", False)) or (is_hires and not first_too):
            return None
        return host.no_such_model(self.refiner)

    def _wants_this_model(self) -> bool:
        wanted = "refiner" if host.samples_with_refiner(self.p) else "base"
        return self.refiner in (wanted, "both")

    def _progress(self, params: Any) -> float:
        model = self.p.sd_model
        if self.table is None or self.table[0] is not model:
            self.table = (model, host.sigma_table(self.p))
        table = self.table[1]
        sigma = host.sigma_of(params, table)
        if self.dial.schedule.schedule_by == "sigma":
            return table.progress(sigma)
        if self.steps is None:
            function = getattr(self.p.sampler, "func", None)
            self.steps = host.run_table(self.sampler_arguments, table, function)
        return self.steps.progress(sigma)


class Sessions:
    """The sampler calls under way, the innermost last: another extension may sample within."""

    def __init__(self) -> None:
        self.active: list[Session] = []

    def arm(self, p: Any, settings: Settings) -> None:
        """Let the coming sampler call of `p` be bypassed. Forge asks twice in a hires pass."""
        sampler = p.sampler
        if getattr(sampler, ARMED, False):
            return
        if host.is_replaced(sys.modules.get("modules.sd_unet")):
            host.tell(p, host.REPLACED)
            return
        setattr(sampler, ARMED, True)
        for name in ("sample", "sample_img2img"):
            # On the sampler itself, which the host makes anew for each call.
            setattr(sampler, name, self._wrap(getattr(sampler, name), p, settings))

    def _wrap(self, inner: Callable, p: Any, settings: Settings) -> Callable:
        @functools.wraps(inner)
        def sample(*args: Any, **kwargs: Any) -> Any:
            for outer in self.active:
                outer.calls.detach()
            mine = Session(p, settings)
            self.active.append(mine)
            try:
                with _noted(p.sampler, mine):
                    return inner(*args, **kwargs)
            finally:
                self.active.remove(mine)
                mine.close()

        return sample

    def on_denoiser(self, params: Any) -> None:
        """The host's callback before each denoiser call."""
        if not self.active:
            return
        session = self.active[-1]
        if getattr(params.denoiser, "p", session.p) is session.p:
            session.follow(params)
        else:  # a sampling within ours that has no bypass of its own
            session.calls.detach()

    def detach_all(self, *_: Any) -> None:
        """Take everything out of the models; the next denoiser call puts it back."""
        for session in self.active:
            session.calls.detach()


@contextmanager
def _noted(sampler: Any, session: Session) -> Iterator[None]:
    """Inside the `with`, note what the sampler's function is called with: the list of sigmas
    or timesteps is in there, and nowhere else. And whether it came to its end: the hosts catch
    the interrupt outside of it, and give what there is as if nothing had happened."""
    func = getattr(sampler, "func", None)
    if not callable(func):
        yield
        return

    @functools.wraps(func)  # the hosts look at its signature
    def noted(*args: Any, **kwargs: Any) -> Any:
        session.sampler_arguments.update(kwargs)
        session.cut_short = True
        sampled = func(*args, **kwargs)
        session.cut_short = False
        return sampled

    sampler.func = noted
    try:
        yield
    finally:
        sampler.func = func
