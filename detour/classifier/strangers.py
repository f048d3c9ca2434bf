"""Files of weights that artists have, and that no network with one last linear layer is."""

from __future__ import annotations

from collections.abc import Mapping

from ..checks import shortened
from .weights import Shaped

_CONCEPTS = "concept_embeds"
_GATED, _GATED_ROWS = "head.linear.weight", 2 * 9083
"""The last layer of the taggers JTP PILOT2 and PILOT3, which have 9,083 tags."""
_MOST_OF_A_HEAD = 40


def refuse_strangers(name: str, state: Mapping[str, Shaped]) -> None:
    """Raises ValueError with a sentence if a file is known to be none that can be edited."""
    name = shortened(name, 80)
    if any(key.rpartition(".")[2] == _CONCEPTS for key in state):
        raise ValueError(
            f"{name} is Stable Diffusion's safety checker: it compares pictures with stored "
            "concepts, so no linear layer makes its answer and nothing of it can be edited. Take "
            "an NSFW classifier instead."
        )
    gate = next((value for key, value in state.items() if key.endswith(_GATED)), None)
    if gate is not None and tuple(gate.shape)[:1] == (_GATED_ROWS,):
        raise ValueError(
            f"{name} is a tagger of which one half of the last layer switches the other "
            "(JTP PILOT2): no linear layer makes its scores, so it cannot be edited. Take another "
            "tagger."
        )


def refuse_head_alone(name: str, state: Mapping[str, Shaped]) -> None:
    """Raises ValueError if a file holds nothing but linear layers on another network's features,
    as LAION's scorers of aesthetics do."""
    matrices = [value.shape for value in state.values() if len(value.shape) == 2]
    if not matrices or len(state) > _MOST_OF_A_HEAD:
        return
    if all(len(value.shape) <= 2 for value in state.values()) and matrices[0][1] > 1:
        raise ValueError(
            f"{shortened(name, 80)} holds no network, only layers that go on the "
            f"{matrices[0][1]} features of another one (CLIP's, for scorers of aesthetics). "
            "Classifier from Probes fits such a layer on a CLIP vision model to your own pictures."
        )
