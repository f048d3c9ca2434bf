"""The ways in one sampler call: opened and closed around it, whatever ends it.

The hosts give no other place that is reached after an error or an interrupt. The U-Net is
looked up anew at each denoiser call, since a refiner or a host may have put another one in.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..detour.progress import SigmaTable, StepTable
from ..detour.ways.bypass import Dial
from ..detour.ways.fade import Fade
from ..detour.ways.relief import Relief
from . import host
from .acting import Acting
from .bypass import ActingBypass
from .guidance import ActingRelief
from .host import log
from .prompt import ActingFade
from .settings import Settings

ARMED = "_detour_armed"


class Session:
    """What is known of the sampler call under way."""

    def __init__(self, p: Any, settings: Settings) -> None:
        self.p = p
        self.acting = _acting(p, settings)
        self.schedule_by = settings.schedule_by
        self.sampler_arguments: dict[str, Any] = {}
        self.table: tuple[object, SigmaTable] | None = None
        self.steps: StepTable | None = None
        self.gave_up = self.cut_short = False

    def follow(self, params: Any) -> None:
        """Prepare all ways for the denoiser call that `params` announces."""
        if self.gave_up:
            return
        followed = False
        try:
            progress = self._progress(params)
            for acting in self.acting:
                acting.follow(params, progress)
            followed = True
        except ValueError as error:  # the host would only print it and go on
            host.tell(self.p, str(error))
        finally:
            if not followed:  # never what an earlier call wanted
                self.gave_up = True
                self.detach()

    def detach(self) -> None:
        """Take everything out of the models."""
        for acting in self.acting:
            acting.detach()

    def close(self) -> None:
        """Leave the model as it was, and say so of each way that did nothing in a whole run."""
        self.detach()
        if self.gave_up or self.cut_short:
            return
        for acting in self.acting:
            if not acting.coverage.calls:
                continue
            notice = acting.missed()
            if notice:
                host.tell(self.p, notice)
            else:
                log.info("Detour: %s", acting.coverage.summary())

    def _progress(self, params: Any) -> float:
        model = self.p.sd_model
        if self.table is None or self.table[0] is not model:
            self.table = (model, host.sigma_table(self.p))
        table = self.table[1]
        sigma = host.sigma_of(params, table)
        if self.schedule_by == "sigma":
            return table.progress(sigma)
        if self.steps is None:
            function = getattr(self.p.sampler, "func", None)
            self.steps = host.run_table(self.sampler_arguments, table, function)
        return self.steps.progress(sigma)


def _acting(p: Any, settings: Settings) -> list[Acting]:
    """What acts in a sampler call: text is faded before rows are left out."""
    is_hires = bool(getattr(p, "is_hr_pass", False))
    found: list[Acting] = []
    for kind in settings.kinds(is_hires):
        way = settings.way(kind, is_hires)
        if isinstance(way, Dial):
            found.append(ActingBypass(p, way, settings.refiner))
        elif isinstance(way, Relief):
            found.append(ActingRelief(p, way))
        elif isinstance(way, Fade):
            found.append(ActingFade(p, way))
    return found


class Sessions:
    """The sampler calls under way, the innermost last: another extension may sample within."""

    def __init__(self) -> None:
        self.active: list[Session] = []

    def arm(self, p: Any, settings: Settings) -> None:
        """Let the ways act in the coming sampler call of `p`. Forge asks twice in a hires pass."""
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
                outer.detach()
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
        else:  # a sampling within ours that has no ways of its own
            session.detach()

    def detach_all(self, *_: Any) -> None:
        """Take everything out of the models; the next denoiser call puts it back."""
        for session in self.active:
            session.detach()


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
