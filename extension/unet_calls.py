"""The bypass in a U-Net that a session holds: hooks put the stand-in around each of its calls."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch import nn

from ..detour.midblock import bypassed, find_mid_block, rows_for, uniform
from . import host


class UNetCalls:
    """Bypasses the calls of one U-Net by what `set` said last; `detach` leaves no trace.

    acted: whether any row was bypassed yet.
    """

    def __init__(self, apply_to: str, skip_compute: bool) -> None:
        self.apply_to = apply_to
        self.skip_compute = skip_compute
        self.lam = 0.0
        self.acted = False
        self.rows: host.Rows | None = None
        self.unet: nn.Module | None = None
        self.hooks: list[Any] = []
        self.under_way = ExitStack()

    def set(self, unet: nn.Module, lam: float, rows: host.Rows | None = None) -> None:
        """From now on bypass calls of `unet` by `lam`; 0 takes everything out.

        rows: whose rows the coming calls will have, unless all are bypassed alike.
        Raises ValueError if the U-Net has no mid-block.
        """
        if lam == 0.0 or unet is not self.unet:
            self.detach()
        self.lam, self.rows = lam, rows
        if lam == 0.0 or self.unet is not None:
            return
        find_mid_block(host.uncompiled(unet))
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
        lams = [self.lam] * x.shape[0]
        if self.rows is not None:
            lams = rows_for(lams, self.rows.conditioned(options, len(lams)), self.apply_to)
        self.acted = self.acted or any(lams)
        skip = self.skip_compute and not host.mid_attention_is_read(options)
        self.under_way.enter_context(
            bypassed(
                host.uncompiled(unet),
                uniform(lams),
                skip_compute=skip,
                placeholder=host.keeps_index,
                device=x.device,
            )
        )

    def _leave(self, _unet: nn.Module, _args: tuple, _output: Any) -> None:
        self.under_way.close()
