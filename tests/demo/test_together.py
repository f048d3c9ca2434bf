"""Models trained together: the same weights as one by one, whole or told. Where there is a CUDA
device, there as well, with a graph of each step."""

from __future__ import annotations

import math
import os

import pytest
import torch

from demo import together, train
from demo.faces import Shares
from demo.train import Trainer, Training, checkpoint

pytestmark = pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="needs a ComfyUI")
FIRST = Training("first", Shares(), 3, 12)
SECOND = Training("second", Shares().turned_round, 4, 9, start="first")


@pytest.fixture(autouse=True)
def _little(monkeypatch):
    monkeypatch.setattr(train, "PEOPLE", 100)
    monkeypatch.setattr(train, "BATCH", 4)
    monkeypatch.setattr(together, "CHUNK", 2)


CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def trained(folder, device, *trainings, **options):
    """What is finished, by name, and why the rest is not."""
    found = {}
    left = together.train_together(
        trainings, folder, device, lambda t, average: found.update({t.name: average}), **options
    )
    return found, left


@pytest.mark.long
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CUDA)])
def test_the_weights_are_those_of_training_one_by_one(tmp_path, device, capsys):
    """In stops and starts as well, and one after that which it starts with."""
    for name in ("alone", "stopped"):
        (tmp_path / name).mkdir()
    alone = {t.name: Trainer(t, tmp_path / "alone", device).run().copy() for t in (FIRST, SECOND)}
    found, left = trained(tmp_path / "stopped", device, SECOND, FIRST, deadline=0.0)
    assert not found and set(left) == {"first", "second"}
    part = Trainer(FIRST, tmp_path / "stopped")
    for _ in range(3):
        part._one_step()
    part.save()
    found, left = trained(tmp_path / "stopped", device, SECOND, FIRST)
    assert set(found) == {"first", "second"} and not left
    assert "graph" not in capsys.readouterr().out  # it could be captured
    atol = 1e-5 if device == "cpu" else 1e-4  # TF32, and other sums
    for name, average in found.items():
        for key, value in average.items():
            assert torch.allclose(value, alone[name][key].cpu(), atol=atol), (name, key)


def test_a_loss_that_is_nan_is_told_and_nothing_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "LEARNING_RATE", math.inf)
    found, left = trained(tmp_path, "cpu", FIRST, SECOND)
    assert not found and not checkpoint(tmp_path, "first").exists()
    assert "nan" in left["first"].lower() and "first" in left["second"]
