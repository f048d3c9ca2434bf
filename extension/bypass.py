"""The bypass in the web UIs: hooks in the U-Net put the stand-in around each of its calls."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch import nn

from ..detour.ways.blocks import Span
from ..detour.ways.bypass import BypassCoverage, Call, Dial, bypassed
from ..detour.ways.targets import (
    REFUSAL,
    find_blocks,
    find_mid_block,
    mid_attention_is_read,
    uncompiled,
)
from . import host
from .acting import Acting

LEFT_OUT = "_detour_left_out"


class UNetCalls:
    """Bypasses the calls of one U-Net, or transformer, by what `set` said last; `detach` leaves no
    trace.

    acted: whether any row was bypassed yet. span: of a transformer, its last bypass.
    """

    def __init__(self, dial: Dial) -> None:
        self.dial = dial
        self.progress = 0.0
        self.acted = False
        self.span: Span | None = None
        self.rows: host.Rows | None = None
        self.unet: nn.Module | None = None
        self.hooks: list[Any] = []
        self.under_way = ExitStack()

    def set(self, unet: nn.Module, progress: float, rows: host.Rows | None = None) -> None:
        """From now on bypass calls of `unet` as the dial says for `progress`; where that is not at
        all, take everything out.

        rows: whose rows the coming calls will have, unless all are bypassed alike.
        Raises ValueError if the U-Net has no mid-block, or the transformer not these blocks.
        """
        self.progress, self.rows = progress, rows
        acts = self.dial.schedule.lam(progress) != 0.0
        if acts and unet is self.unet:
            return
        self.detach()
        if not acts:
            return
        blocks = find_blocks(unet, self.dial.blocks)
        if blocks is None:
            find_mid_block(unet)
        elif self.span is None and self.dial.blocks is not None:  # once, before the first call
            if warning := blocks.warning(type(uncompiled(unet)).__name__):
                host.log.warning("Detour: %s", warning)
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
        made = bypassed(unet, call, is_read=is_read, device=x.device)
        self.span = self.under_way.enter_context(made) or self.span

    def _leave(self, _unet: nn.Module, _args: tuple, _output: Any) -> None:
        self.under_way.close()


class ActingBypass(Acting):
    """The stand-in is in the mid-block's place for the length of a U-Net call.

    refiner: whether the `base` model, the `refiner` or `both` are bypassed.
    """

    counts = BypassCoverage

    def __init__(self, p: Any, way: Dial, refiner: str) -> None:
        super().__init__(p, way)
        self.dial, self.refiner = way, refiner
        self.calls = UNetCalls(way)
        self.left_out = 0

    def follow(self, params: Any, progress: float) -> None:
        """Set the bypass for the coming U-Net calls."""
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

    def detach(self) -> None:
        """Take hooks and stand-in out."""
        self.calls.detach()

    def missed(self) -> str | None:
        """The notice where nothing could be bypassed: the model, the window or the half was never
        there."""
        if self.left_out == self.coverage.calls:
            return self._no_such_model()
        if self.calls.span is not None:
            self.coverage.part = str(self.calls.span.of)
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
