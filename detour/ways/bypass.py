"""The bypass of a part of a model: a stand-in takes its place for the length of a call.

The part is a U-Net's mid-block, or a range of a transformer's blocks (`blocks.py`). How much of it
is left, and how, is in `stand_in.py`; the idea is from the abstract of arXiv 2505.17560 v1
("partially bypassed").

Hosts that call the mid-block reach `forward`; hosts that loop over its layers reach `__iter__`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from ..checks import require_choice
from .blocks import Span, in_place_of
from .stand_in import Lam, StandIn, Weight, blend, weight_of
from .targets import Blocks, find_blocks, find_mid_block, keeps_index
from .way import Coverage, Way

APPLY_TO = ("both", "cond", "uncond")


@dataclass(frozen=True)
class Dial(Way):
    """All settings of a bypass.

    apply_to: one of `APPLY_TO`: both halves of guidance, or the rows of the prompt (`cond`) or
        of the negative prompt (`uncond`) alone.
    skip_compute: at lam 1 do not run what is bypassed; False runs it and drops the result, for
        patches that record something inside of it.
    blocks: of a transformer; None is the middle third of its depth, and of a U-Net its mid-block.

    Raises ValueError with one sentence for a value that cannot be used.
    """

    apply_to: str = "both"
    skip_compute: bool = True
    blocks: Blocks | None = None

    def __post_init__(self) -> None:
        require_choice("apply_to", self.apply_to, APPLY_TO)

    def call(self, progress: Sequence[float], is_cond: Sequence[bool | None] = ()) -> Call:
        """The bypass of a model call whose rows are at these places of the denoising.

        is_cond: for each row whether it is the prompt's or the negative prompt's; None is
            neither. Not needed where `apply_to` is `both`.
        """
        wanted = lams = self.lams(progress)
        if self.apply_to != "both":
            half = self.apply_to == "cond"
            rows = zip(wanted, is_cond, strict=True)
            lams = tuple(lam if cond is half else 0.0 for lam, cond in rows)
        return Call(self, tuple(progress), lams, any(wanted) and not any(lams))


@dataclass(frozen=True)
class Call:
    """One model call: the progress and the bypass of each of its rows.

    other_half: whether it would be bypassed if `apply_to` had not left its rows out.
    """

    dial: Dial
    progress: tuple[float, ...]
    lams: tuple[float, ...]
    other_half: bool = False

    def lam(self, each: int = 1) -> Lam:
        """One number if all rows have the same bypass, else one for each.

        each: rows of the mid-block for each row of the call (a video's frames).
        """
        if len(set(self.lams)) == 1:
            return self.lams[0]
        return tuple(lam for lam in self.lams for _ in range(each))


@dataclass
class BypassCoverage(Coverage):
    """Counts the model calls of one run.

    calls: those in which the model ran; bypassed: those of them with a bypass.
    other_half: those whose rows `apply_to` left out.
    from_cache: calls that something else answered, so that the model did not run.
    kept_out: those in which other nodes called none of the blocks.
    evaluations: of conditionings, each of which needs a model call; 0 where a host does not tell.
    part: what was bypassed, where there is a choice.
    """

    way: Dial
    bypassed: int = 0
    other_half: int = 0
    from_cache: int = 0
    kept_out: int = 0
    evaluations: int = 0
    part: str = ""

    def record(self, call: Call, *, ran: bool = True, span: Span | None = None) -> None:
        """Count one model call; ran: whether the model ran in it; span: see `bypassed`."""
        is_kept_out = ran and span is not None and not span.ran
        self.visit(call.progress, ran=ran)
        self.from_cache += not ran
        self.kept_out += is_kept_out
        self.bypassed += ran and any(call.lams) and not is_kept_out
        self.other_half += call.other_half
        self.part = self.part if span is None else str(span.of)

    def missed(self) -> str | None:
        """As for every way; and where the wanted half of guidance was never there, or where other
        nodes went past what does the bypass."""
        apply_to = self.way.apply_to
        if self.other_half and not self.bypassed:
            half = "the prompt" if apply_to == "cond" else "the negative prompt"
            return (
                f"Nothing was bypassed: apply_to is {apply_to}, and no call of this model had "
                f"rows of {half} (guidance is off, or another model has them); use apply_to = both."
            )
        if self.kept_out and not self.bypassed:
            return (
                f"Nothing was bypassed: another node left out {self.part} or put others in their "
                "place, as nodes do that compile blocks one by one; connect Detour behind it."
            )
        if self.evaluations and not (self.calls or self.from_cache):
            return (
                "Nothing was bypassed: another node calls this model in a way of its own, as "
                "DeepCache does; do without that node, or without this one."
            )
        return super().missed()

    def done(self) -> str:
        """How many calls were bypassed."""
        inside = f"{self.part} in " if self.part else ""
        done = f"bypassed {inside}{self.bypassed} of {self.calls} model calls"
        if self.from_cache:
            done += f"; {self.from_cache} more came from a cache, without the model"
        if self.kept_out:
            done += f"; in {self.kept_out} more, other nodes left those blocks out"
        return done


@contextmanager
def bypassed(
    denoiser: nn.Module,
    call: Call,
    *,
    is_read: bool = False,
    each: int = 1,
    device: torch.device | None = None,
) -> Iterator[Span | None]:
    """Bypass a part of `denoiser` for a call inside the `with`; whatever happens, undo it. For a
    range of blocks gives what is known of it afterwards.

    is_read: whether something records inside the mid-block, so that it runs even at lam 1.
    each: rows of the mid-block for each row of the call (a video's frames).
    device: where the call computes, so that bypasses by row lie there before it.
    """
    lam = call.lam(each)
    if lam == 0.0:
        yield None
        return
    skip_compute = call.dial.skip_compute and not is_read
    blocks = find_blocks(denoiser, call.dial.blocks)
    if blocks is not None:
        with in_place_of(Span(blocks, lam, skip_compute, device)) as span:
            yield span
        return
    holder, name = find_mid_block(denoiser)
    middle = getattr(holder, name)
    setattr(holder, name, BypassedMidBlock(middle, lam, skip_compute, device))
    try:
        yield None
    finally:
        setattr(holder, name, middle)


class BypassedMidBlock(StandIn):
    """In the place of a U-Net's mid-block."""

    lam: Lam
    weight: Weight
    skips: bool
    layers: list[nn.Module]

    def __init__(
        self,
        block: nn.Module,
        lam: Lam,
        skip_compute: bool = True,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(block)
        # Past nn.Module.__setattr__: the children stay those of the block.
        self.__dict__["lam"] = lam
        self.__dict__["weight"] = weight_of(lam, device)
        self.__dict__["skips"] = lam == 1.0 and skip_compute
        self.__dict__["layers"] = self._plan(block)

    def _plan(self, block: nn.Module) -> list[nn.Module]:
        # Built here and not in __iter__: that runs inside a compiled region.
        if not isinstance(block, Iterable):
            return []
        if self.skips:
            stand_ins = [keeps_index(layer) for layer in block]
            return [*(layer for layer in stand_ins if layer is not None), _Copy()]
        memory: list[torch.Tensor] = []
        return [_Remember(memory), *block, _Blend(memory, self.weight)]

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index):
        return self.stands_for[index]

    def forward(self, *args, **kwargs) -> torch.Tensor:
        """The blend of the mid-block's output and its input `h [B, C, ...]`, the first argument
        or, where a host calls by keyword, `hidden_states`."""
        h = args[0] if args else kwargs["hidden_states"]
        if self.skips:
            return h.clone()
        return blend(self.stands_for(*args, **kwargs), h, self.weight)


class _Copy(nn.Module):
    """Ends a skipped mid-block. A copy, since hosts write into what follows (ControlNet's
    residual, FreeU's scales) while the skip connection still holds the input."""

    def forward(self, h: torch.Tensor, *_args, **_kwargs) -> torch.Tensor:
        return h.clone()


class _Remember(nn.Module):
    """Begins a looped mid-block: keeps its input for the blend."""

    def __init__(self, memory: list[torch.Tensor]) -> None:
        super().__init__()
        self.memory = memory

    def forward(self, h: torch.Tensor, *_args, **_kwargs) -> torch.Tensor:
        self.memory.append(h)
        return h


class _Blend(nn.Module):
    """Ends a looped mid-block: blends its output with the kept input."""

    def __init__(self, memory: list[torch.Tensor], weight: Weight) -> None:
        super().__init__()
        self.memory, self.weight = memory, weight

    def forward(self, out: torch.Tensor, *_args, **_kwargs) -> torch.Tensor:
        return blend(out, self.memory.pop(), self.weight)
