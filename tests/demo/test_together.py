"""Models trained together on a CPU: the same weights as one by one, whole or told."""

from __future__ import annotations

import math
import os
from dataclasses import replace

import pytest
import torch

from demo import together, train
from demo.faces import Shares
from demo.train import Trainer, Training, checkpoint

pytestmark = pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="needs a ComfyUI")
FIRST = Training("first", Shares(), 3, 5)
SECOND = Training("second", Shares().turned_round, 4, 4, start="first")


@pytest.fixture(autouse=True)
def _little(monkeypatch):
    monkeypatch.setattr(train, "PEOPLE", 100)
    monkeypatch.setattr(train, "BATCH", 4)
    monkeypatch.setattr(together, "CHUNK", 2)


def trained(folder, *trainings, **options):
    """What is finished, by name, and why the rest is not."""
    found = {}
    left = together.train_together(
        trainings, folder, "cpu", lambda t, average: found.update({t.name: average}), **options
    )
    return found, left


def test_the_weights_are_those_of_training_one_by_one(tmp_path):
    """In stops and starts as well, and one after that which it starts with."""
    for name in ("alone", "stopped"):
        (tmp_path / name).mkdir()
    alone = {t.name: Trainer(t, tmp_path / "alone").run() for t in (FIRST, SECOND)}
    found, left = trained(tmp_path / "stopped", SECOND, replace(FIRST, steps=5), deadline=0.0)
    assert not found and set(left) == {"first", "second"}
    part = Trainer(FIRST, tmp_path / "stopped")
    for _ in range(3):
        part._one_step()
    part.save()
    found, left = trained(tmp_path / "stopped", SECOND, FIRST)
    assert set(found) == {"first", "second"} and not left
    for name, average in found.items():
        for key, value in average.items():
            assert torch.allclose(value, alone[name][key], atol=1e-5), (name, key)


def test_a_loss_that_is_nan_is_told_and_nothing_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "LEARNING_RATE", math.inf)
    found, left = trained(tmp_path, FIRST, SECOND)
    assert not found and not checkpoint(tmp_path, "first").exists()
    assert "nan" in left["first"].lower() and "first" in left["second"]
