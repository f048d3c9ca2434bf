"""The rows of `dev.py bench` about edits and classifiers, on tiny sizes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tools import bench_search
from tools.failure import Failure


def test_features_are_written_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_search, "BLOCK", 70)
    bench_search.write_features(tmp_path / "a.npy", 200, 16)
    table = np.load(tmp_path / "a.npy")
    assert table.shape == (200, 16) and table.dtype == np.float32
    right = (table @ bench_search.class_means(16).T).argmax(1) == np.arange(200) % 10
    assert 0.3 < right.mean() < 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere getrusage counts one program alone")
def test_the_peak_is_not_that_of_who_started_the_search():
    held = np.ones(80 * 2**20, dtype=np.float32)
    command = [sys.executable, "-c", "from tools.bench_search import peak_mib; print(peak_mib(0))"]
    told = subprocess.run(
        command, cwd=bench_search.ROOT, capture_output=True, text=True, check=True
    )
    assert 1 < float(told.stdout) < held.nbytes / 2**20 / 2


def test_rows_of_the_search(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path))
    monkeypatch.setattr(bench_search, "QUICK_FEATURES", 8)
    monkeypatch.setattr(bench_search, "QUICK_PROBES", (100, 200))
    seconds = iter([2.0, 5.0, 1.0, 2.0])

    def measured(file: Path, count: int, edit: str) -> dict[str, float]:
        found = bench_search.search_once(file, count, edit)
        assert found["seconds"] > 0
        return {"seconds": next(seconds), "peak_mib": 3000.0 if count == 200 else 10.0}

    monkeypatch.setattr(bench_search, "measure_apart", measured)
    rows = bench_search.run_search(quick=True)
    assert [(row["edit"], row["probes"]) for row in rows] == [
        (edit, count) for edit in bench_search.EDITS for count in (100, 200)
    ]
    assert [row["ratio"] for row in rows] == [1.0, 2.5, 1.0, 2.0]
    assert rows[1]["n_log_n"] == pytest.approx(2.3010, abs=1e-4)
    assert [row["met"] for row in rows] == [True, False, True, False]
    assert "MISSED" in capsys.readouterr().out
    assert not list((tmp_path / "tmp").iterdir())


def test_a_search_that_fails_is_a_failure(tmp_path):
    with pytest.raises(Failure, match="search of 5 probes failed"):
        bench_search.measure_apart(tmp_path / "missing.npy", 5, "one_weight")


def test_classification_is_a_ratio_of_throughputs(monkeypatch, capsys):
    for name, value in {"PICTURES": 2, "SIDE": 32, "QUICK_SECONDS": 0.0}.items():
        monkeypatch.setattr(bench_search, name, value)
    (row,) = bench_search.run_classify(quick=True)
    assert row["network"] == "mobilenet_v2" and row["n"] == 1 and row["low"] is None
    assert row["met"] == (row["median"] >= bench_search.LEAST)
    assert "too few pairs" in capsys.readouterr().out


def test_the_largest_search_says_what_it_took(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DETOUR_CACHE", str(tmp_path))
    monkeypatch.setattr(bench_search, "QUICK_LARGEST", (8, 5, 100))
    found = {"seconds": 2.0, "clock_seconds": 1.5, "peak_mib": 30.0, "cell": [1, 2]}
    for seconds, peak, met in ((9.9, 2047.0, True), (10.1, 30.0, False), (1.0, 2049.0, False)):
        told = found | {"clock_seconds": seconds, "peak_mib": peak}
        monkeypatch.setattr(bench_search, "measure_apart", lambda *_, told=told: told)
        (row,) = bench_search.run_largest(quick=True)
        assert row["met"] is met and (row["features"], row["classes"], row["probes"]) == (8, 5, 100)
        printed = capsys.readouterr().out
        assert f"{seconds:.1f} s on the clock" in printed and ("MISSED" in printed) is not met
