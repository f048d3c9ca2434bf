"""Run by test_old_torch.py in the environment of `dev.py test --old-torch`."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Tuple  # noqa: UP035 - TorchScript of this torch knows no other

import torch
from safetensors.torch import save_file
from torch import nn

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
from detour.classifier import torch_file  # noqa: E402
from detour.classifier.load import load_classifier  # noqa: E402
from detour.classifier.networks import SmallCNN  # noqa: E402


class Program(nn.Module):
    """A TorchScript module that writes a file `ran` while it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x

    @torch.jit.export
    def __getstate__(self):
        return (self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: Tuple[torch.Tensor, bool]):  # noqa: UP006
        torch.save(torch.ones(1), "ran")
        self.weight = state[0]
        self.training = state[1]


def refusal(name: str) -> str:
    try:
        load_classifier(name)
    except ValueError as error:
        return str(error)
    return "it was read"


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def main() -> None:
    """Works in the current folder, which must be empty; each line says what was seen."""
    ran, weights = Path("ran"), SmallCNN(3).state_dict()
    torch.jit.save(torch.jit.script(Program()), "program.pt")
    torch.load("program.pt", weights_only=True)
    say("torch", torch.__version__, "ran it:", ran.exists())
    ran.unlink()
    torch.save(weights, "plain.pth")
    save_file(weights, "plain.safetensors")
    for name in ("program.pt", "plain.pth", "plain.safetensors"):
        say(name + ":", refusal(name))
    torch_file.READ_SINCE = (0, 0)
    say("reader, program.pt:", refusal("program.pt"))
    say("reader, plain.pth:", refusal("plain.pth"))
    with zipfile.ZipFile("plain.pth") as plain, zipfile.ZipFile("lie.pth", "w") as lie:
        for record in plain.namelist():
            lie.writestr(record, plain.read(record)[: 4 if "/data/" in record else None])
    say("reader, lie.pth:", refusal("lie.pth"))
    say("ran:", ran.exists())


if __name__ == "__main__":
    main()
