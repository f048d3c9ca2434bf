"""What one model call costs, counted and not timed: floating-point operations and memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler talks otherwise

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""Attention on the CPU, which the counter of torch does not know by itself."""


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def count_flops(call: Any, layers: Iterable[nn.Module]) -> tuple[int, int]:
    """The floating-point operations of one call, and those of them inside the layers."""
    counter = FlopCounterMode(display=False, custom_mapping={ATTENTION: _attention_flops})
    inside: list[int] = []

    def before(*_: Any) -> None:
        inside.append(-counter.get_total_flops())

    def after(*_: Any) -> None:
        inside.append(counter.get_total_flops())

    handles = []
    for layer in layers:
        handles += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    call.ready()
    try:
        with counter:
            call()
    finally:
        for handle in handles:
            handle.remove()
    return counter.get_total_flops(), sum(inside)


def peak_bytes(call: Any) -> int:
    """The most memory that one call has in use at a time, beyond what is there before it.

    Every allocation and release of torch's CPU allocator, from the profiler's events.
    """
    call.ready()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        call()
    results = profiler.profiler.kineto_results  # the only place with the events in order
    events = [event for event in results.events() if event.name() == "[memory]"]
    used = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        used += event.nbytes()
        peak = max(peak, used)
    return peak
