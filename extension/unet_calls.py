"""The bypass in a U-Net that a session holds: hooks put the stand-in around each of its calls."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from torch import nn

from ..detour.midblock import bypassed, find_mid_block, rows_for, uniform
from . import host


class UNetCalls:
    """Bypasses the calls of one U-Net by what `set` said last; `detach` leaves no trace."""

    def __init__(self, apply_to: str, skip_compute: bool) -> None:
        self.apply_to = apply_to
        self.skip_compute = skip_compute
        self.lam = 0.0
        self.rows: list[bool] = []
        self.unet: nn.Module | None = None
        self.hooks: list[Any] = []
        self.under_way = ExitStack()

    def set(self, unet: nn.Module, lam: float, rows: Sequence[bool]) -> None:
        """From now on bypass calls of `unet` by `lam`; 0 takes everything out.

        rows: for each row that the coming calls will have together, in order, whether it
            belongs to the prompt; hosts that say so in each call need none.
        Raises ValueError if the U-Net has no mid-block.
        """
        if lam == 0.0 or unet is not self.unet:
            self.detach()
        self.lam, self.rows = lam, list(rows)
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
        options = kwargs.get("transformer_options") or {}
        x = args[0] if args else kwargs["x"]
        lams = [self.lam] * x.shape[0]
        if self.apply_to != "both":
            lams = rows_for(lams, self._conditioned(options, len(lams)), self.apply_to)
        skip = self.skip_compute and not host.mid_attention_is_read(options)
        self.under_way.enter_context(
            bypassed(
                host.uncompiled(unet),
                uniform(lams),
                skip_compute=skip,
                placeholder=host.keeps_index,
            )
        )

    def _leave(self, _unet: nn.Module, _args: tuple, _output: Any) -> None:
        self.under_way.close()

    def _conditioned(self, options: dict[str, Any], rows: int) -> list[bool]:
        told = host.conditioned(options, rows)
        if told is None:
            told, self.rows = self.rows[:rows], self.rows[rows:]
        if len(told) != rows:
            raise ValueError(
                "Another extension calls the U-Net as well, so it cannot be told which rows "
                "belong to the prompt and which to the negative prompt; use apply_to = both."
            )
        return told
