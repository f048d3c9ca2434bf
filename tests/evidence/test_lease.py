"""What a lent machine hands back: small enough, the most important first, nothing twice."""

from __future__ import annotations

import tarfile
from types import SimpleNamespace

import pytest

from evidence.dial import lease
from evidence.dial.train_all import STUDIES, every

NAMES = [f"model{number}" for number in range(7)]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "FILE_BYTES", 250)
    monkeypatch.setattr(lease, "ALL_BYTES", 600)
    monkeypatch.setattr(lease, "RESULT_BYTES", 100)
    work, first, second = (tmp_path / name for name in ("work", "first", "second"))
    for folder in (work, first, second):
        folder.mkdir()
    for name in NAMES[1:]:  # the first one is not trained
        (work / f"{name}.safetensors").write_bytes(bytes(100))
    return work, first, second


def packed(folder):
    """The names in each file, in order of the files."""
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            found.append([name.removesuffix(".safetensors") for name in tar.getnames()])
    return found


def test_what_does_not_fit_comes_with_the_next_call(folders):
    work, first, second = folders
    order = [SimpleNamespace(name=name) for name in NAMES]
    lease.pack_weights(work, first, order)
    assert packed(first) == [NAMES[1:3], NAMES[3:5], NAMES[5:6]]
    lease.pack_weights(work, second, order)
    assert packed(second) == [NAMES[6:]]


def test_a_step_that_hangs_is_ended_and_its_words_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lease, "GRACE", 1.0)
    code = "import time; print('begun', flush=True); time.sleep(60)"
    assert not lease.run("slow", ["-c", code], 1.0, tmp_path)
    assert "begun" in capsys.readouterr().out and "begun" in (tmp_path / "slow.log").read_text()
    assert lease.run("good", ["-c", "print(1)"], 20.0, tmp_path)
    lease.pack_results(tmp_path, tmp_path)
    with tarfile.open(tmp_path / lease.RESULTS) as tar:
        assert tar.getnames() == ["good.log", "slow.log"]


def test_every_model_has_a_name_of_its_own_and_the_shipped_ones_come_first():
    trainings = every()
    names = [training.name for training in trainings]
    assert len(set(names)) == len(names) and len(names) > 30
    assert {t.network for t in every(is_small=True)} == {t.network for t in trainings}


def test_a_study_can_be_asked_for_alone():
    parts = {study: every(study=study) for study in STUDIES}
    assert sorted(STUDIES) == sorted(step.name for step in lease.STEPS)
    assert sum(map(len, parts.values())) == len(every())
    assert {t.network for t in parts["depth"]} == {"depth1", "depth2", "depth3"}
    assert {t.network for t in parts["dial"]} == {"unet"}
