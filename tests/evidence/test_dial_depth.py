"""The depth study: equal but for depth, literal counts, an exact trend, and going on."""

from __future__ import annotations

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import pytest
import torch

from demo import train
from demo.faces import draw_people, has_long_hair, wears_glasses
from demo.networks import DEPTHS, NETWORKS, load_host
from demo.train import Trainer
from evidence.dial import depth
from evidence.dial.depth_chart import chart
from evidence.dial.depth_results import Model, Pictures, figures, report, trend
from evidence.dial.host import Drawn
from evidence.dial.measure import composed
from evidence.dial.store import Store
from evidence.dial.ways import BYPASS, PLAIN

needs_host = pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="needs a ComfyUI")
COUNT = 60


@needs_host
def test_depths_differ_in_how_often_a_picture_is_halved_and_in_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "PEOPLE", 100)
    load_host()
    middles, batches = [], []
    for place, one in enumerate(depth.plan(seeds=1)):
        trainer = Trainer(one, tmp_path)
        unet, sides = trainer.model.network, []
        unet.middle_block[0].register_forward_pre_hook(
            lambda _layer, args, sides=sides: sides.append(args[0].shape[1:])
        )
        x, _, t, words = batch = trainer.batch(7)
        trainer.model(x[:1], t[:1].float(), words[:1])
        side = 16 // 2 ** DEPTHS[place]
        assert sides == [(32, side, side)]
        assert not words.any()  # without a prompt
        path = tmp_path / "weights.safetensors"
        train.save_weights(path, trainer.average, one)
        told = depth.model_of(one, path)
        assert (told.depth, told.seed, told.steps) == (DEPTHS[place], 1, depth.STEPS)
        assert told.parameters == sum(value.numel() for value in unet.parameters())
        middles.append({name: p.shape for name, p in unet.middle_block.named_parameters()})
        batches.append(batch)
    assert len(middles) == 3 and middles[0] == middles[1] == middles[2]
    for other in batches[1:]:
        assert all(torch.equal(*pair) for pair in zip(batches[0], other, strict=True))
    assert bool(Trainer(replace(one, network="unet"), tmp_path).batch(7)[3].any())
    assert NETWORKS["unet"].prompts


def test_both_minorities_are_in_the_same_pictures_independently():
    people = draw_people(depth.SHARES, 20_000, torch.Generator().manual_seed(1))
    long, worn = has_long_hair(people).float(), wears_glasses(people).float()
    assert float(worn.mean()) < 0.01
    assert float(long.mean()) == pytest.approx(0.42, abs=0.01)
    assert float((long * worn).mean() / worn.mean()) == pytest.approx(0.42, abs=0.12)


def literal_trend(blocks: list[list[float]]) -> float:
    """By going through every shuffle of every block, one after the other."""
    found = [0.0]
    for block in blocks:
        found = [f + x[2] - x[0] for f in found for x in permutations(block)]
    own = abs(sum(block[2] - block[0] for block in blocks))
    return sum(abs(each) >= own - 1e-9 for each in found) / len(found)


def test_the_trend_goes_through_all_orders_within_seeds():
    falling = [[0.5, 0.4, 0.3], [0.42, 0.41, 0.2], [0.6, 0.55, 0.5], [0.3, 0.2, 0.1]]
    mixed = [[0.5, 0.4, 0.45], [0.42, 0.41, 0.43], [0.6, 0.55, 0.61], [0.3, 0.2, 0.1]]
    for blocks in (falling, mixed):
        assert trend(blocks) == pytest.approx(literal_trend(blocks))
    assert trend(falling) == 2 / 6**4
    assert trend([]) == trend([[0.1, 0.1, 0.1]] * 3) == 1


def pictures(text: str) -> Pictures:
    """From `-` unclean, `.` clean, `g` with glasses, `l` with long hair, `c` a copy, `G` unclean
    with glasses."""
    return Pictures(
        torch.tensor([letter not in "-G" for letter in text]),
        torch.tensor([letter == "c" for letter in text]),
        {
            "glasses": torch.tensor([letter in "gG" for letter in text]),
            "long hair": torch.tensor([letter == "l" for letter in text]),
        },
    )


def test_what_is_counted():
    seen = {
        (1, 1, PLAIN): pictures("gg..l."),
        (1, 1, BYPASS): pictures("g-gGl."),
        (1, 3, PLAIN): pictures("g..c-l"),
        (1, 3, BYPASS): pictures("gg.c.l"),
        (2, 1, PLAIN): pictures("......"),  # a seed that is not whole
    }
    shares = {"glasses": 0.008, "long hair": 0.42}
    models = [Model(d, s, 9, 1000 * d, "0", shares) for s, d in ((1, 1), (1, 3), (2, 1))]
    reals = {seed: pictures("g.l...") for seed in (1, 2)}
    read = {"misread": {"glasses": 1, "long hair": 2}, "misread_of": 6}
    found = json.loads(json.dumps(read | figures(models, seen, reals)))
    assert [model["seed"] for model in found["models"]] == [1, 1]
    counts = {
        (row["minority"], row["depth"], row["way"]): (
            row["share"],
            row["to_minority"],
            row["to_majority"],
        )
        for row in found["rows"]
    }
    assert counts["glasses", 1, PLAIN] == (2 / 6, 0, 0)
    assert counts["glasses", 1, BYPASS] == (3 / 6, 2, 1)
    assert counts["glasses", 3, PLAIN] == (1 / 6, 0, 1)  # against the shallowest
    assert counts["glasses", 3, BYPASS] == (2 / 6, 1, 0)  # against the same model as it is
    assert counts["long hair", 3, PLAIN] == (1 / 6, 1, 1)
    deep = next(row for row in found["rows"] if row["depth"] == 3)
    assert deep["copies"] == 1 / 6 and deep["clean"] == 5 / 6 and deep["p"] == 1
    assert found["trends"][0]["change"] == pytest.approx(-1 / 6)
    lines: list[str] = []
    report(found, lines.append)
    assert any("depth 3" in line and "16.7%" in line and "0 / 1" in line for line in lines)
    assert "misread: long hair: 2 of 6 new portraits" in "\n".join(lines)
    assert lines[0].startswith("Exploratory")
    none = read | figures(models, {}, reals)
    assert "No seed" in told(none)
    assert chart(found).tobytes() != chart(none).tobytes()


def told(found: dict) -> str:
    """What is said of figures."""
    lines: list[str] = []
    report(found, lines.append)
    return "\n".join(lines)


def test_what_is_seen_is_kept_in_a_digit():
    own = pictures("-.glcG")
    again = Pictures.read(own.text)
    assert own.text == "015934".replace("34", "34")
    assert torch.equal(again.clean, own.clean) and torch.equal(again.copies, own.copies)
    assert all(torch.equal(again.shows[name], own.shows[name]) for name in own.shows)


def test_misread_counts_what_the_rest_of_pictures_makes_of_others():
    portraits = composed(depth.new_people(5, COUNT))
    assert depth.misread(portraits, 6) == {"glasses": 0, "long hair": 0}
    # Pictures that are noise alone leave so much that hair can no longer be told.
    noise = torch.rand(portraits.shape, generator=torch.Generator().manual_seed(1))
    assert depth.misread(noise, 6)["long hair"] > 0


class Portraits:
    """In the host's place: draws training pictures and new ones, half and half."""

    def __init__(self) -> None:
        self.drawn = 0

    def facts(self, device: str) -> dict[str, str]:
        return {"device": device}

    def run_of(self, _weights, prompt: str, cfg: float) -> SimpleNamespace:
        assert (prompt, cfg) == ("", 1.0)
        return SimpleNamespace()

    def draw_all(self, _run, _apply, _setting, _seed, count: int) -> Drawn:
        self.drawn += 1
        known = train.training_people(depth.training(1, 1))[: count // 2]
        draw = torch.Generator().manual_seed(9)
        new = draw_people(replace(depth.SHARES, glasses=1.0), count - len(known), draw)
        return Drawn(composed(torch.cat([known, new])), 0, 1.0)


def test_rows_are_kept_and_no_row_is_begun_when_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "PEOPLE", 100)
    depth.known_to.cache_clear()
    host = Portraits()
    monkeypatch.setattr(depth, "host_of", lambda _device: host)
    weights = tmp_path / "weights"
    weights.write_text("some")
    tasks = [depth.Task(1, 1, weights, way, COUNT, "cpu") for way in depth.SETTINGS]

    def run(deadline: float) -> tuple[int, Store]:
        store = Store(tmp_path / "rows.jsonl")
        with ThreadPoolExecutor(1) as pool:
            return depth.measure_all(tasks, store, pool, deadline), store

    assert run(0.0)[0] == 2 and host.drawn == 0
    left, store = run(math.inf)
    assert left == 0 and host.drawn == 2
    assert run(math.inf)[0] == 0 and host.drawn == 2
    found = Pictures.read(store.look(tasks[0].key)["seen"])
    assert found.clean.all() and int(found.copies.sum()) == COUNT // 2
    assert int(found.shows["glasses"][COUNT // 2 :].sum()) == COUNT // 2
    depth.known_to.cache_clear()
