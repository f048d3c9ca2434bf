"""Ranges of a transformer's blocks, each a way of its own, on tiny transformers trained for it.

The study is that of the U-Net, but that nothing is chosen: a choice for each range would take more
than the study, and so all ways have the settings that their nodes begin with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from demo.networks import NETWORKS
from demo.parts import SIZE
from detour.schedule import Schedule
from detour.ways.targets import Blocks, middle_third, typed_blocks

from . import models
from .host import Host, Run
from .inside import Draw, structured, white, with_noise, with_phases
from .models import Subject
from .ways import PLACEBO, PLAIN, WAYS, Setting, Way, patched

NETWORK = "transformer"
STEPS = 4500
"""As many as the U-Nets have from their first step on."""
LAYERS: int = NETWORKS[NETWORK].architecture["n_layers"]
SIDE = SIZE // NETWORKS[NETWORK].architecture["patch_size"]
WIDTHS = (2, 4)
MIDDLE = middle_third(LAYERS)
"""What the node takes with `auto`; there the noises are."""
PLAN_SEED = 20_261
BLOCKS = 2
"""Of all cells: 12 models."""
RIVALS = ("relief", "fade")
"""Those of Detour's own ways that a range has to be worth it beside."""
BEGINNING = Setting(Schedule.strength, Schedule.end_percent)
"""What the nodes begin with."""
NOTES = (
    "The host's own SkipLayerGuidanceDiTSimple does nothing in this class of model, whose blocks "
    "read no replacements; its formula is the dial with strength 1 on the negative prompt.",
)


def plan(blocks: int = BLOCKS, steps: int = STEPS) -> list[Subject]:
    """The models that are reported on; each has a beginning of its own."""
    return models.plan(blocks, steps, NETWORK, PLAN_SEED)


def ranges() -> list[Blocks]:
    """Every range of the widths that are tried, from the first block on."""
    return [(first, first + width - 1) for width in WIDTHS for first in range(LAYERS - width + 1)]


def name_of(blocks: Blocks) -> str:
    """Of a range, among the ways."""
    return f"blocks {typed_blocks(blocks)}"


def _bypass(host: Host, run: Run, setting: Setting, blocks: Blocks, side: str = "both") -> Run:
    return patched(host, run, "bypass.Dial", setting, blocks=blocks, apply_to=side)


def _inside(_host: Host, run: Run, setting: Setting) -> Run:
    return _noisy(run, MIDDLE, setting, structured(run.seed, run.count, SIDE))


def _placebo(_host: Host, run: Run, setting: Setting) -> Run:
    return _noisy(run, (MIDDLE[1], MIDDLE[1]), setting, white(run.seed))


def _noisy(run: Run, blocks: Blocks, setting: Setting, draw: Draw) -> Run:
    return replace(run, model=with_noise(run.model, blocks, setting.strength, setting.end, draw))


def _phases(_host: Host, run: Run, setting: Setting) -> Run:
    turned = with_phases(run.model, setting.strength, setting.end, run.seed)
    return replace(run, model=turned)


def _range_way(blocks: Blocks) -> Way:
    label = f"{name_of(blocks)}{' (auto)' if blocks == MIDDLE else ''} bypassed"
    return Way(label, partial(_bypass, blocks=blocks), (BEGINNING,), is_ours=True)


BYPASS = name_of(MIDDLE)
"""The placebo is held against it."""
RANGE_WAYS: Mapping[str, Way] = MappingProxyType(
    {
        PLAIN: WAYS[PLAIN],
        **{name_of(blocks): _range_way(blocks) for blocks in ranges()},
        **{name: replace(WAYS[name], settings=(BEGINNING,)) for name in RIVALS},
        "skip": Way(
            f"skip-layer guidance, {name_of(MIDDLE)}",
            partial(_bypass, blocks=MIDDLE, side="uncond"),
            (BEGINNING,),
            needs="guidance",
        ),
        "inside": Way(
            f"smooth noise in {name_of(MIDDLE)}",
            _inside,
            (Setting(0.25, BEGINNING.end),),
        ),
        "phases": Way(
            "phases turned",
            _phases,
            (BEGINNING,),
        ),
        PLACEBO: Way(
            "placebo: noise",
            _placebo,
            (Setting(0.25, BEGINNING.end),),
        ),
    }
)
"""The host's node for skip-layer guidance is not among them, see `NOTES`."""
