"""`python dev.py evidence architectures`: which networks are read, classify and can be edited.

Each gets random weights, is saved as its library does, loaded by `load_classifier`, compared
with the library's own logits, and edited at one weight. Those that are refused are listed with
the sentence; what is too large is listed with its size.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from detour.classifier.head import Head
from detour.classifier.load import load_classifier
from detour.classifier.model import ImageClassifier
from detour.edit.apply import apply_edits
from detour.edit.edited import unedited_stack
from detour.edit.record import Change, edit_of
from tools.environment import write_json
from tools.failure import Failure

from . import networks
from .networks import Network
from .tables import say

LARGEST = 150_000_000
QUICK = {
    "torchvision": ("regnet_y_400mf", "shufflenet_v2_x0_5", "mnasnet0_5", "squeezenet1_1"),
    "timm": ("convnext_atto", "test_vit", "test_efficientnet", "pit_ti_distilled_224"),
    "transformers": ("mobilenet_v2", "resnet"),
}
SIDE = 240
CLASS = 3
STEP = 0.5


@dataclass
class Outcome:
    """What became of one network.

    found: `recognised` from its weights, `named` by the user, `folder` by its configuration.
    classified: logits bit-equal to the library's own. edited: the same after one weight.
    text: the refusal, or what went wrong.
    """

    network: str
    family: str
    parameters: int
    found: str = ""
    loaded: bool = False
    classified: bool = False
    edited: bool = False
    verdict: str = "read"
    text: str = ""
    seconds: float = 0.0


def main() -> int:
    """Print the table; 1 if a network is neither right nor refused by a sentence."""
    options = parse(sys.argv[1:])
    outcomes = []
    try:
        for network in chosen(options.quick):
            outcomes.append(judge(network, options.largest))
            say(line(outcomes[-1]))
            if options.json:
                write_json(options.json, report(outcomes))
    except Failure as failure:
        say(f"Error: {failure}")
        return 1
    say()
    for library, words in summary(outcomes).items():
        say(f"{library}: {words}")
    return 1 if any(outcome.verdict == "wrong" for outcome in outcomes) else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py evidence architectures", description="Which networks are read and edited."
    )
    parser.add_argument("--quick", action="store_true", help="ten networks; under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument(
        "--largest", type=int, default=LARGEST, metavar="N", help="run up to N parameters"
    )
    return parser.parse_args(arguments)


def chosen(quick: bool) -> Iterator[Network]:
    """The networks to try, one library after the other."""
    if not quick:
        yield from networks.torchvision_networks()
        yield from networks.timm_networks()
        yield from networks.transformers_networks()
        return
    yield from (n for n in networks.torchvision_networks() if n.name in QUICK["torchvision"])
    yield from map(networks.timm_network, QUICK["timm"])
    yield from (n for n in networks.transformers_networks() if n.name in QUICK["transformers"])


def judge(network: Network, largest: int = LARGEST) -> Outcome:
    """Save, load, classify and edit one network."""
    began = time.monotonic()
    outcome = Outcome(network.full_name, network.family, 0)
    try:
        outcome.parameters = networks.parameters(networks.empty(network.build))
        if outcome.parameters > largest:
            outcome.verdict, outcome.text = "not run", f"{outcome.parameters:,} parameters"
        else:
            _try(network, outcome)
    except ImportError as error:
        outcome.verdict, outcome.text = (
            "not run",
            f"needs more: {' '.join(str(error).split())[:80]}",
        )
    except (AttributeError, TypeError, RuntimeError, AssertionError, LookupError) as e:
        first_line = next(iter(str(e).splitlines()), "")
        outcome.verdict, outcome.text = "wrong", f"{type(e).__name__}: {first_line[:200]}"
    except ValueError as error:
        outcome.verdict, outcome.text = "refused", str(error)
    gc.collect()
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


@torch.no_grad()
def _try(network: Network, outcome: Outcome) -> None:
    whole = randomise(network.build())
    with tempfile.TemporaryDirectory(prefix="detour-networks-") as folder:
        path = network.save(whole, Path(folder))
        classifier, outcome.found = load(path, network.full_name)
    outcome.loaded = True
    picture = torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(2))
    pixels = classifier.preprocessing(picture)
    theirs = logits_of(whole, pixels)
    sane = bool(torch.isfinite(theirs).all()) and float(theirs.std()) > 0
    outcome.classified = sane and torch.equal(classifier.logits(picture), theirs)
    column = int(classifier.features(picture)[0].abs().argmax())
    change = Change(CLASS, ((column, STEP),))
    own = Head(classifier.weight, classifier.bias)
    edit = edit_of(change, own)
    stack = unedited_stack(classifier).push(edit)
    new = apply_edits(stack, own)
    edited = classifier.with_head(new.weight, new.bias)
    inside = getattr(whole, "timm_model", whole)  # transformers' wrapper around a network of timm
    head = inside.get_submodule(classifier.backbone.head_name)
    head.get_parameter("weight")[CLASS, column] = edit.cells[0].new
    changed = logits_of(whole, pixels)
    moved = not torch.equal(changed, theirs)
    outcome.edited = moved and torch.equal(edited.logits(picture), changed)
    if not (outcome.classified and outcome.edited):
        off = float((classifier.logits(picture) - theirs).abs().max())
        outcome.verdict, outcome.text = "wrong", f"logits differ by {off:.3g}"


def load(path: Path, name: str) -> tuple[ImageClassifier, str]:
    """The classifier, and how its architecture became known."""
    if path.is_dir():
        return load_classifier(path), "folder"
    try:
        classifier = load_classifier(path)
        if classifier.description.architecture == name:
            return classifier, "recognised"
    except ValueError:
        pass  # not in the table of those that are recognised
    return load_classifier(path, architecture=name), "named"


def logits_of(network: nn.Module, pixels: Tensor) -> Tensor:
    """What the library's own network says."""
    result = network(pixels)
    return result if isinstance(result, Tensor) else result.logits


def randomise(network: nn.Module) -> nn.Module:
    """Random weights everywhere, also where libraries begin with zeros; signals stay sane."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if not value.is_floating_point():
                continue
            if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5, generator=draw)
            else:
                fan = max(1, value[0].numel()) if value.ndim > 1 else 100
                value.uniform_(-1.5, 1.5, generator=draw).div_(fan**0.5)
    return network.eval()


def line(outcome: Outcome) -> str:
    """One row of the table."""
    done = [name for name in ("loaded", "classified", "edited") if getattr(outcome, name)]
    words = ", ".join([outcome.found, *done]) if outcome.found else outcome.verdict
    tail = f": {outcome.text}" if outcome.text else ""
    size = f"{outcome.parameters / 1e6:.1f} M"
    return f"{outcome.network:<50} {size:>9}  {words}{tail}"


def summary(outcomes: list[Outcome]) -> dict[str, str]:
    """For each library how many were read, refused and left out."""
    libraries = dict.fromkeys(outcome.network.partition(":")[0] for outcome in outcomes)
    counts = {
        library: Counter(o.verdict for o in outcomes if o.network.startswith(f"{library}:"))
        for library in libraries
    }
    return {
        library: ", ".join(f"{count} {verdict}" for verdict, count in each.items())
        for library, each in counts.items()
    }


def report(outcomes: list[Outcome]) -> dict[str, object]:
    """The table for machines."""
    return {"summary": summary(outcomes), "networks": [asdict(outcome) for outcome in outcomes]}


if __name__ == "__main__":
    sys.exit(main())
