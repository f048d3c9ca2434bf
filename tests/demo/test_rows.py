"""Which rows the demo measures, what their graphs are, and what is said of them."""

from dataclasses import replace

import pytest
import torch

from demo import run
from demo.faces import TWINS, VARIANTS, draw_people, has_long_hair
from demo.reader import Reading
from demo.rows import (
    BLOCKS,
    GUIDED,
    Case,
    as_reading,
    describe,
    measure_row,
    prompt_for,
    table_cases,
)


def test_the_table_is_short_and_asks_both_twins_the_same():
    table = table_cases()
    assert len(table) == len(set(table)) <= 16
    for model, twin in TWINS.items():
        asked = [case for case in table if case.model == model]
        assert asked
        assert [replace(case, model=twin) for case in asked] == [
            case for case in table if case.model == twin
        ]
    assert all(case.plain in table for case in table)


@pytest.mark.parametrize(
    ("way", "node"),
    [
        ("bypass", "DetourMidBlockBypass"),
        ("relief", "DetourGuidanceRelief"),
        ("fade", "DetourPromptFade"),
        ("placebo", "DemoMidBlockNoise"),
    ],
)
def test_a_row_is_the_graph_that_a_user_would_build(way, node):
    case = next(case for case in GUIDED if case.way == way)
    graph = prompt_for(case, 7, 5, save=False)
    assert graph["patch"]["class_type"] == node
    assert graph["patch"]["inputs"]["end_percent"] == case.end
    assert graph["sampler"]["inputs"]["model"] == ["patch", 0]
    plain = prompt_for(case.plain, 7, 5, save=False)
    assert "patch" not in plain and plain["sampler"]["inputs"]["model"] == ["model", 0]
    assert plain["latent"] == graph["latent"]


def test_a_row_of_the_transformer_leaves_out_the_blocks_that_it_names():
    (case,) = [case for case in BLOCKS if case.way == "bypass"]
    inputs = prompt_for(replace(case, model="transformer"), 7, 5, save=False)["patch"]["inputs"]
    assert inputs["blocks"] == case.blocks != "auto"
    assert case.blocks in describe(case) and case.plain.blocks == "auto"


class Fake:
    """Stands for the laboratory: what is seen is given, nothing is drawn."""

    def __init__(self, plain, other):
        self.plain, self.other = plain, other

    def read(self, case, count):
        return self.plain if case == case.plain else self.other


def test_a_row_counts_what_moved_on_its_seeds():
    nurses = draw_people(VARIANTS["demo"], 60, torch.Generator().manual_seed(0), "nurse")
    long, short = (nurses[has_long_hair(nurses) == is_long][:1] for is_long in (True, False))
    builder = draw_people(VARIANTS["demo"], 1, torch.Generator().manual_seed(0), "builder")
    before = Reading(torch.cat([long, long, short, long]), torch.zeros(4))
    after = Reading(torch.cat([short, short, long, builder]), torch.tensor([0, 0, 0, 1.0]))
    row = measure_row(Fake(before, after), Case(strength=1.0, end=0.3), 4)
    assert (row["to_rare"], row["to_usual"], row["clean"]) == (2, 1, 0.75)
    assert row["share"] == pytest.approx(2 / 3) and row["fits"] == 1.0 and row["p"] == 1.0


def row_of(model, to_rare, to_usual, p):
    return {
        **dict(model=model, prompt="nurse", cfg=3.0, way="bypass", strength=1.0, end=0.3),
        **dict(to_rare=to_rare, to_usual=to_usual, p=p, blocks="auto"),
    }


@pytest.mark.parametrize(
    ("demo", "mirror", "said"),
    [
        ((20, 1, 1e-5), (18, 2, 1e-4), "both go to what is rare"),
        ((1, 20, 1e-5), (2, 18, 1e-4), "both go to what is usual"),
        ((20, 1, 1e-5), (1, 20, 1e-5), "the twins go opposite ways: an accident of shapes"),
        ((20, 1, 1e-5), (5, 3, 0.7), "one goes to what is rare; the other decides nothing"),
        ((5, 3, 0.7), (3, 5, 0.7), "decides nothing"),
    ],
)
def test_the_verdict_promises_no_more_than_both_twins_show(demo, mirror, said, capsys):
    run.verdict([row_of("demo", *demo), row_of("mirror", *mirror)])
    assert capsys.readouterr().out.splitlines()[-1].split("0 to 0.3")[1].strip() == said


def test_what_the_host_tells_is_read_back():
    reading = as_reading({"people": [[0] * 11, [1] * 11], "distance": [0.01, 0.5]})
    assert reading.people.shape == (2, 11) and reading.clean.tolist() == [True, False]
