"""The bypass of a range of a transformer's blocks: stand-ins take their places for one call.

With s the streams before the first block of the range, F(s) those behind its last and lam the
bypass of this call,

    out = torch.lerp(F(s), s, lam)    for each stream

The formula is ours. What the host does between two blocks of the range (a ControlNet's residual)
belongs to F and is bypassed with it. Where the range runs from blocks with several streams into
blocks with one, s is joined as the host joins them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .stand_in import Lam, StandIn, blend, weight_of
from .targets import BlockRange, Place

Streams = tuple[Any, ...]
"""Tensors `[B, tokens, width]` in the order in which a block takes them. The last block of SD 3
returns None for one, as nothing reads it any more."""


class Span:
    """One bypass of a range in one model call.

    of: the range. skips: whether its blocks are not computed. memory: what the first one was
    given, from then until the last one. ran: has an entry once the last one has given the blend.
    """

    def __init__(
        self,
        of: BlockRange,
        lam: Lam,
        skip_compute: bool = True,
        device: torch.device | None = None,
    ) -> None:
        self.of, self.weight = of, weight_of(lam, device)
        self.skips = lam == 1.0 and skip_compute
        self.memory: list[Streams] = []
        self.ran: list[bool] = []
        taken = of.places[0].of.streams
        self.joined = [taken.index(name) for name in of.joined if name in taken]

    def crosses(self, other: Span) -> bool:
        """Whether each of the two has blocks that the other has not, and both share some."""
        one, two = sorted((self.of, other.of), key=lambda span: (span.first, -span.last))
        return two.first <= one.last < two.last

    def begin(self, streams: Streams) -> None:
        """Keep copies of the streams: the blocks of Flux and others write into what they get."""
        self.memory.clear()
        self.memory.append(tuple(h.clone() for h in streams))

    def end(self, out: Streams) -> Streams:
        """The blend of what was kept and what came out; without computing, what was kept."""
        kept = self.memory.pop()
        self.ran.append(True)
        if len(kept) > len(out):
            kept = (torch.cat([kept[place] for place in self.joined], dim=1),)
        if self.skips:
            return kept
        pairs = zip(out, kept, strict=True)
        return tuple(None if o is None else blend(o, h, self.weight) for o, h in pairs)


class BypassedBlock(StandIn):
    """In the place of one block, which may lie in the ranges of several bypasses."""

    at: int
    of: Any
    spans: tuple[Span, ...]
    ends: tuple[Span, ...]

    def __init__(self, block: nn.Module, at: int, place: Place, spans: Sequence[Span]) -> None:
        super().__init__(block)
        ends = [span for span in spans if span.of.last == at]
        ends.sort(key=lambda span: -span.of.first)  # what lies inside of another range, first
        own = {"at": at, "of": place.of, "spans": tuple(spans), "ends": tuple(ends)}
        self.__dict__.update(own)  # for nn.Module, a tuple is an attribute like any other

    def forward(self, *args, **kwargs):
        """What the block gives; at the end of a range the blend, in the same form."""
        names = self.of.streams
        streams = tuple(args[i] if i < len(args) else kwargs[name] for i, name in enumerate(names))
        skips = any(span.skips for span in self.spans)
        for span in self.spans:
            # Also later than in the first block: one that another node leaves out (Skip Layer
            # Guidance) gives what it gets.
            if self.at == span.of.first or not span.memory:
                span.begin(streams)
                if skips:  # what is handed on is written into, and others may hold what came
                    streams = tuple(h.clone() for h in streams)
        if skips:
            out = streams
        else:
            out = self._taken(self.stands_for(*args, **kwargs))
        for span in self.ends:
            out = span.end(out)
        return self._given(out)

    def _taken(self, given: Any) -> Streams:
        if len(self.of.streams) == 1:
            return (given,)
        by_name = dict(zip(self.of.gives, given, strict=True))
        return tuple(by_name[name] for name in self.of.streams)

    def _given(self, out: Streams) -> Any:
        if len(out) == 1:
            return out[0]
        by_name = dict(zip(self.of.streams, out, strict=True))
        return tuple(by_name[name] for name in self.of.gives)


@contextmanager
def in_place_of(span: Span) -> Iterator[Span]:
    """Stand-ins in the places of its blocks inside the `with`; whatever happens, taken away.

    Where ranges cross, all of their blocks are computed: the later range begins inside of the
    earlier one. Raises ValueError if a call began a bypass that it did not end.
    """
    before: list[tuple[Place, Any]] = []
    try:
        for at, place in enumerate(span.of.places, span.of.first):
            now = place.blocks[place.index]
            is_ours = isinstance(now, BypassedBlock)
            others = now.spans if is_ours else ()
            for other in others:
                if span.crosses(other):
                    span.skips = other.skips = False
            block = now.stands_for if is_ours else now
            before.append((place, now))
            place.blocks[place.index] = BypassedBlock(block, at, place, (*others, span))
        yield span
    finally:
        for place, block in before:
            place.blocks[place.index] = block
    if span.memory:
        raise ValueError(
            f"Another node left out the last of {span.of}, as Skip Layer Guidance does, so that "
            "their bypass had no end; choose blocks that end elsewhere."
        )
