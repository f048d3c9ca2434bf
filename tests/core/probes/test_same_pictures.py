"""A picture that is in a set under several names: in one part, and told."""

from __future__ import annotations

import shutil

import torch
from PIL import Image

from detour.probes.folder import read_folder
from detour.probes.parts import folds, split_parts
from detour.probes.pictures import Kept
from detour.probes.probe_set import ProbeSet
from detour.probes.same_pictures import first_of_same, joined_units
from detour.report.probes import describe_probes


def test_of_files_by_their_bytes_whatever_their_names(tmp_path):
    for number, colour in enumerate(("red", "tan", "red")):
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{number}.bmp")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "same colours.png")
    files = sorted(tmp_path.iterdir())
    assert len({file.stat().st_size for file in files[:3]}) == 1
    gone = [tmp_path / "gone.png"] * 2
    assert first_of_same([*files, *gone]) == [0, 1, 0, 3, 4, 5]


def test_of_tensors_and_of_kept_features_by_their_values():
    one = torch.rand(3, 5, 3)
    flipped = one.flip(0)  # of the same sum
    assert first_of_same([one, flipped, one.clone(), one.half(), flipped]) == [0, 1, 0, 3, 1]
    row, small = torch.rand(6), torch.zeros(1, 1, 3, dtype=torch.uint8)
    kept = [Kept(row, "a", small), Kept(row.clone(), "a", small), Kept(row, "b", small)]
    assert first_of_same(kept) == [0, 0, 2]


def test_units_that_share_a_picture_are_one():
    joined = joined_units(["x", "y", "y", "z", "w"], [0, 0, 2, 2, 4])
    assert len(set(joined[:4])) == 1 and joined[4] == "w"
    assert joined_units(["x", 1], [0, 1]) == ["x", 1]


def test_no_split_parts_them(classifier):
    pictures = [torch.full((4, 4, 3), number / 40) for number in range(40)]
    twice = ProbeSet(
        tuple(pictures + [p.clone() for p in pictures]), ("hat", "no hat") * 40, ("red",) * 80
    )
    probes = twice.probes(classifier, classifier.features)
    assert torch.equal(probes.unit_numbers[:40], probes.unit_numbers[40:])
    for seed in range(5):
        for part in (*vars(split_parts(probes, seed)).values(), *folds(probes, torch.arange(80))):
            assert set((part % 40).tolist()) == set((part[part < 40]).tolist())


def test_the_report_says_which_and_what_contradicts(tmp_path):
    for place in ("nurse/woman", "nurse/man", "builder/man"):
        (tmp_path / place).mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"nurse/woman/{number}.png")
    shutil.copy(tmp_path / "nurse/woman/0.png", tmp_path / "nurse/woman/again.png")
    text = describe_probes(read_folder(tmp_path))
    assert "1 picture in the set more than once (again.png = 0.png): they stay together" in text
    assert "different labels" not in text
    shutil.copy(tmp_path / "nurse/woman/1.png", tmp_path / "nurse/man/b.png")
    text = describe_probes(read_folder(tmp_path))
    assert "1 picture with different labels (1.png = b.png): only one can be right" in text
    (tmp_path / "metadata.csv").write_text(
        "filename,y,a,split\nnurse/woman/0.png,n,w,0\nnurse/woman/again.png,n,w,2\n"
    )
    assert "1 picture in two parts (again.png = 0.png)" in describe_probes(read_folder(tmp_path))
