"""More than two classes: ten digits, each with a colour of its own; one edit per class, stacked."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import torch
from torch import Tensor

from detour.classifier.head import Head
from detour.edit.apply import apply_edits, with_edits
from detour.edit.record import edit_of, new_stack
from detour.probes.features import Probes
from detour.search.one_weight import best_shift, best_weight, problems_of
from detour.search.pair import best_pairs, best_simple
from detour.search.problem import Found, Problem
from detour.search.sample import Sample

from .digits import Digits
from .methods import Method, erm
from .results import Result, run_methods
from .rivals import dfr, dfr_l2
from .tasks import Parts, Task, as_probes, cnn_features, parts, train_cnn

CORRELATION = 0.9
PALETTE = torch.tensor([colorsys.hsv_to_rgb(digit / 10, 0.8, 0.95) for digit in range(10)])
ATTRIBUTES = ("another colour", "own colour")
Search = Callable[[Probes, list[Problem]], Found]


def paint(pixels: Tensor, hues: Tensor) -> Tensor:
    """Grey `[N, H, W]` to RGB `[N, 3, H, W]` in the colours `hues [N]` of the palette."""
    return pixels[:, None] * PALETTE[hues][:, :, None, None]


def hues_for(labels: Tensor, own: Tensor, seed: int) -> Tensor:
    """The digit's own colour where `own`, else one of the nine others at random."""
    generator = torch.Generator().manual_seed(seed)
    others = (labels + torch.randint(1, 10, labels.shape, generator=generator)) % 10
    return torch.where(own, labels, others)


def ten_digit_task(digits: Digits, seed: int) -> Task:
    """The small CNN on ten digits, 90 % in their own colour; probes have half and half."""
    part: Parts = parts(digits, seed)
    labels = digits.labels[part.training]
    draw = torch.rand(len(labels), generator=torch.Generator().manual_seed(seed))
    pictures = paint(digits.pixels[part.training], hues_for(labels, draw < CORRELATION, seed))
    network = train_cnn(pictures, labels, 10, seed)

    def probes(numbers: Tensor) -> Probes:
        own = torch.arange(len(numbers)) // 10 % 2 == 1
        shown = paint(digits.pixels[numbers], hues_for(digits.labels[numbers], own, seed + 1))
        found = cnn_features(network, shown)
        return as_probes(found, network.head, digits.labels[numbers], own.long(), numbers)

    return Task("ten_digits", CORRELATION, seed, probes(part.probes), probes(part.test))


def stacked(search: Search) -> Method:
    """At most one edit per class: each step edits the row, of those not edited yet, that helps
    the worst of the twenty groups most; it ends where none helps."""

    def method(probes: Probes, seed: int) -> Head:
        del seed
        stack, done = new_stack(probes.head), set()
        while len(done) < probes.head.shape[0]:
            now = with_edits(probes, stack)
            open_rows = [p for p in problems_of(now, None, None) if p.row not in done]
            change = search(now, open_rows).change
            if not change.numbers:
                break
            done.add(change.row)
            stack = stack.push(edit_of(change, probes.head))
        return apply_edits(stack, probes.head)

    return method


def best_pair(probes: Probes, problems: list[Problem]) -> Found:
    """The best weight and bias of the rows that the problems are of."""
    simple = best_simple(problems, best_shift(problems), best_weight(probes, problems))
    sample = Sample.of(probes, [torch.arange(len(probes))])
    return best_pairs(sample, [problems], [simple])[0]


METHODS: dict[str, Method] = {
    "erm": erm,
    "bias_only": stacked(lambda _, problems: best_shift(problems)),
    "one_weight": stacked(best_weight),
    "one_weight_bias": stacked(best_pair),
    "dfr": dfr,
    "dfr_l2": dfr_l2,
}


def ten_digits(digits: Digits, seed: int) -> list[Result]:
    """Every method that knows more than two classes, on one seed."""
    return run_methods(ten_digit_task(digits, seed), METHODS)
