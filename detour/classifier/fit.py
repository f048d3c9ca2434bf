"""The weights of a file under the names of a network, whatever a training script put around it.

Wrappers add prefixes (`module.`, `model.`, `backbone.`), put other things beside the network
(losses, a second copy of averaged weights) or move its last layer. So names are compared from
their ends: the prefix under which the file has the whole network is the wrapper's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..checks import listed, shortened
from .weights import Shaped

AnyShaped = TypeVar("AnyShaped", bound=Shaped)
_COUNTER = "num_batches_tracked"
_AVERAGED = re.compile(r"(\w+_)?(ema|averaged|swa)(_\w+)?")
_BESIDE = re.compile(  # what training needs beside the network, by a part of its name
    r"criterion\w*|\w*loss\w*|\w*metrics?(_\w+)?|\w*accuracy\w*|\w+_acc|\w*auroc\w*|\w+_f1|"
    r"n_averaged|optimi[sz]ers?\w*|\w*schedulers?|\w*scaler|\w*rng_state\w*|epoch|\w*step|mixup\w*"
)
_UNUSED = re.compile(  # in the network, but without effect on its logits: constants, training's
    r"(.*\.)?(aux\w*|AuxLogits)\..*|(.*\.)?(attn_mask|relative_coords_table|position_ids|"
    r"relative_position_index|n_averaged)"
)
_DEEPEST, _SHOWN = 8, 3


@dataclass(frozen=True)
class Fit(Generic[AnyShaped]):
    """How the weights of a file lie in a network.

    state: the weights by the network's names. wrong: what keeps them from fitting, as short
    phrases. notes: sentences about what was left out.
    """

    state: dict[str, AnyShaped]
    wrong: tuple[str, ...]
    notes: tuple[str, ...]


def fit_names(
    wanted: Mapping[str, Shaped], head: str, features: int, state: Mapping[str, AnyShaped]
) -> Fit[AnyShaped]:
    """Find the weights of a network among those of a file.

    wanted: what the network has, by name. head: the name of its last layer, which takes so many
    `features` and may have any number of classes; empty if there is none.

    Raises ValueError if the file holds several such networks.
    """
    body = {key: value for key, value in wanted.items() if not _is_free(key, head)}
    prefix, copies, notes = _prefix(body, state)
    own = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    placed = {key: value for key, value in own.items() if key in wanted}
    taken = {prefix + key for key in placed}
    rest = {key: value for key, value in state.items() if key not in taken}
    spare = {copy + key for copy in copies for key in wanted}
    beside = {key for key in rest if key in spare or _is_beside(key)}
    rest = {key: value for key, value in rest.items() if key not in beside}
    missing = [f"{key} is missing" for key in body if key not in placed]
    wrong = _place_head(placed, rest, head, features) + missing
    wrong += [f"{key} is not part of it" for key in rest if not key.endswith(_COUNTER)]
    wrong += [
        f"{key} is {list(placed[key].shape)} instead of {list(value.shape)}"
        for key, value in body.items()
        if key in placed and tuple(placed[key].shape) != tuple(value.shape)
    ]
    told = [key for key in state if key in beside and not key.endswith(("n_averaged", _COUNTER))]
    if told:
        some = listed(told, _SHOWN)
        notes = (*notes, f"Left out, since the network does not use them: {some}.")
    return Fit(placed, tuple(shortened(phrase, 160) for phrase in wrong), notes)


def has_ending(state: Mapping[str, Shaped], key: str, shape: tuple[int, ...]) -> bool:
    """Whether a weight with this name, behind any prefix, and this shape is there."""
    return any(
        (name == key or name.endswith(f".{key}")) and tuple(value.shape) == shape
        for name, value in state.items()
    )


def _is_free(key: str, head: str) -> bool:
    return key.endswith(_COUNTER) or key in (f"{head}.weight", f"{head}.bias")


def _is_beside(key: str) -> bool:
    parts = key.lower().split(".", _DEEPEST)
    return any(map(_BESIDE.fullmatch, parts)) or bool(_UNUSED.fullmatch(key))


def _prefix(
    body: Mapping[str, Shaped], state: Mapping[str, Shaped]
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The prefix of the network, those of other copies of it, and notes."""
    named: Counter[str] = Counter()
    exact: Counter[str] = Counter()
    for key, value in state.items():
        parts = key.split(".", _DEEPEST)
        for depth in range(len(parts)):
            name = ".".join(parts[depth:])
            if name in body:
                prefix = key[: len(key) - len(name)]
                named[prefix] += 1
                exact[prefix] += tuple(value.shape) == tuple(body[name].shape)
    whole = [prefix for prefix, count in exact.items() if count == len(body)]
    if len(whole) < 2:
        best = max(named, key=lambda prefix: (named[prefix], -len(prefix)), default="")
        return (whole or [best])[0], (), ()
    averaged = [prefix for prefix in whole if any(map(_AVERAGED.fullmatch, prefix.split(".")))]
    choices = listed([prefix or "(no prefix)" for prefix in whole])
    if len(averaged) != 1:
        raise ValueError(
            f"The file holds several networks that fit ({choices}): save the one that you mean "
            "by itself, as safetensors."
        )
    copies = tuple(prefix for prefix in whole if prefix != averaged[0])
    return averaged[0], copies, (f"The averaged weights ({shortened(averaged[0], 80)}) are used.",)


def _place_head(
    placed: dict[str, AnyShaped],
    rest: dict[str, AnyShaped],
    head: str,
    features: int,
) -> list[str]:
    """Find the last layer where retraining moved it, and move it back; what is wrong with it.

    `fc = Sequential(Dropout(), Linear(...))` makes `fc.1.weight` of `fc.weight`, and a head of
    the wrapper's own is called `head.weight` where the network's would be `backbone.fc.weight`.
    """
    if not head:
        return []
    own = placed.get(f"{head}.weight")
    others = [
        key
        for key, value in rest.items()
        if key.endswith(".weight") and tuple(value.shape[1:]) == (features,)
    ]
    if len(others) == 1 and own is None:
        old = others.pop().removesuffix("weight")
        for part in ("weight", "bias"):
            if f"{old}{part}" in rest:
                placed[f"{head}.{part}"] = rest.pop(f"{old}{part}")
        own = placed[f"{head}.weight"]
    if own is not None and (len(own.shape) != 2 or own.shape[1] != features):
        return [f"{head}.weight is {list(own.shape)}, not [*, {features}]"]
    if own is not None and not others:
        bias = placed.get(f"{head}.bias")
        fits = bias is None or tuple(bias.shape) == tuple(own.shape[:1])
        return [] if fits else [f"{head}.bias does not have {own.shape[0]} numbers"]
    if not others:
        return [f"{head}.weight is missing"]
    names = [f"{head}.weight"] * (own is not None) + others[:3]
    return [f"{' and '.join(names)} could each be its last layer"]
