"""`dev.py gpu`: a rehearsal with a pack on the CPU, and what is told where something fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import commands, gpu, gpu_pack
from tools.editor import local_host
from tools.failure import Failure
from tools.gpu_part import Report, read_lines
from tools.gpu_search import SMALL_SAME

ROOT = Path(__file__).resolve().parents[2]
SHAPES = ("sd15", "sdxl")
EXACT = (
    "plain, dial, plain",
    "strength 0",
    "strength 1 = identity",
    "strength 0.5 = lerp",
    "a raised error",
    "out of memory",
    "partial offload",
    "fp8 weights",
)
SEARCHES = ["one_weight", "k_weights_bias", "one_weight"]


def dev_gpu(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "dev.py"), "gpu", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=900,
    )


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu") / "pack"
    gpu_pack.make_pack(folder, local_host(), Path(sys.executable))
    return folder


def test_a_pack_is_small_and_holds_no_words_of_tokenizers(pack):
    files = [file for file in pack.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 16 * 2**20
    assert not [file for file in files if file.name in ("tokenizer.json", "vocab.json")]
    assert not [file for file in files if file.suffix in (".so", ".pyd", ".pyc")]
    assert (pack / "site" / "torchsde" / "__init__.py").is_file()


ALL = "import sys; from tools import gpu; [gpu.main([p, *sys.argv[1:]]) for p in {}]"
"""Parts one after the other; the one without ComfyUI first, so that it is without."""
LESS = "import tools.bench_stats as stats, tools.gpu_edit as edit; "
LESS += "stats.SHAPES, edit.SMALL_NETWORKS = ('sd15',), (); "


def rehearse(pack, file, parts, before=""):
    """What parts find in one process: importing torch and the host takes longer than they do."""
    host, packages = gpu_pack.check_pack(pack)
    environment = {gpu.SITE: str(packages), "COMFYUI_PATH": str(host), "DETOUR_DEVICE": "cpu"}
    subprocess.run(
        [sys.executable, "-c", before + ALL.format(parts), str(file), "1800", "--small"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        timeout=900,
    )
    figures = gpu.empty()
    gpu.merge(figures, read_lines(file))
    assert figures["skipped"] == {} and figures["exact"]["failed"] == []
    return figures


def test_a_rehearsal_of_one_unet_and_of_the_search(pack, tmp_path):
    figures = rehearse(pack, tmp_path / "lines", ("machine", "edit", "exact"), LESS)
    exact = [name for name in figures["exact"]["passed"] if "search" not in name]
    assert exact == [f"sd15: {name}" for name in EXACT]
    assert len(figures["exact"]["passed"]) == len(EXACT) + len(SMALL_SAME)
    assert [row["what"] for row in figures["edit"]] == SEARCHES
    assert all(row["same"] and row["left_mib"] == [0, 0] for row in figures["edit"])


@pytest.mark.long
def test_the_rehearsal_does_everything(pack, tmp_path):
    parts = ("machine", "edit", "exact", "cost")
    assert sorted(parts) == sorted(gpu.PARTS)
    figures = rehearse(pack, tmp_path / "lines", parts)
    exact = [f"{a}: {b}" for a in SHAPES for b in EXACT]
    assert [name for name in figures["exact"]["passed"] if "search" not in name] == exact
    assert len(figures["exact"]["passed"]) == len(exact) + len(SMALL_SAME)
    assert set(figures) == set(gpu.empty())
    rows = {(row["shape"], row["mode"], row["case"]) for row in figures["cost"]}
    ours = ("lam0", "lam0.5", "lam1")
    eager = {(a, "eager", b) for a in SHAPES for b in (*ours, "freeu_v2", "pag")}
    eager |= {("z_image", "eager", case) for case in ours}
    assert rows == eager | {("sd15", "compiled", case) for case in ours}
    assert all(row["ratio"] > 0 and row["peak_mib"] > 0 for row in figures["cost"])
    sizes = {(row["shape"], row["pixels"]) for row in figures["cost"]}
    assert sizes == {(shape, pixels) for shape in ("sd15", "sdxl") for pixels in (64, 128)} | {
        ("z_image", 64)
    }
    assert figures["syncs"]["inside"] <= 1 and figures["syncs"]["outside"] == 0
    assert 0 <= figures["recompiles"] <= 4
    assert [row["what"] for row in figures["edit"]] == [*SEARCHES, "convnext_tiny"]
    assert all(row["same"] and row["left_mib"] == [0, 0] for row in figures["edit"][:-1])


@pytest.mark.parametrize("kind", ["passed", "failed", "skipped"])
def test_each_part_has_its_process_and_what_failed_is_the_exit_status(monkeypatch, tmp_path, kind):
    monkeypatch.setattr(gpu, "run_part", lambda name, *_: [("device", name), found])
    found = (kind, "all" if kind == "passed" else ["cost", "why"])
    file = tmp_path / "gpu.json"
    options = commands.make_parser().parse_args(["gpu", "--small", "--json", str(file)])
    assert gpu.run(options, Path(sys.executable), {}) == (kind != "passed")
    figures = json.loads(file.read_text())
    assert figures["device"] == list(gpu.PARTS)[-1]
    assert len(figures["exact"]["passed"]) == 4 * (kind == "passed")


def test_where_there_is_no_device_nothing_is_claimed(pack, tmp_path):
    file = tmp_path / "gpu.json"
    told = dev_gpu("--from", str(pack), "--json", str(file), CUDA_VISIBLE_DEVICES="")
    figures = json.loads(file.read_text())
    assert told.returncode == 1
    assert list(figures["skipped"]) == ["machine", "exact", "cost", "edit"]
    assert "sees no CUDA device" in figures["skipped"]["machine"]
    assert figures["exact"] == {"passed": [], "failed": []} and figures["cost"] == []


def test_a_part_that_hangs_or_dies_costs_itself_alone(monkeypatch, tmp_path):
    stand_in = tmp_path / "python"
    stand_in.write_text(
        f"#!{sys.executable}\nimport os, sys, time\n"
        "part, file = sys.argv[3:5]\nout = open(file, 'a')\n"
        'out.write(\'["passed", "first"]\\n["pas\'); out.flush()\n'
        "time.sleep(60) if part == 'exact' else os._exit(3)\n"
    )
    stand_in.chmod(0o755)
    if sys.platform == "win32":
        pytest.skip("no such scripts there")
    lines = gpu.run_part("exact", 2.0, True, dict(os.environ), stand_in)
    assert lines == [("passed", "first"), ("skipped", ["exact", "stopped after 2 s"])]
    lines = gpu.run_part("cost", 60.0, True, dict(os.environ), stand_in)
    assert lines[1:] == [("skipped", ["cost", "ended by itself (exit status 3)"])]


def test_what_fails_is_told_and_the_rest_goes_on(tmp_path):
    report = Report(tmp_path / "lines", 100.0)

    def fail() -> None:
        raise AssertionError("differs by up to 0.5")

    assert not report.attempt("a", fail, "failed")
    assert not report.attempt("b", fail, "failed", needs=1000.0)
    assert report.attempt("c", lambda: report.add("passed", "c"), "failed")
    figures = gpu.empty()
    gpu.merge(figures, read_lines(tmp_path / "lines"))
    assert figures["exact"]["failed"] == ["a: AssertionError: differs by up to 0.5"]
    assert figures["exact"]["passed"] == ["c"]
    assert "1000 s are needed" in figures["skipped"]["b"]


def test_a_folder_of_somebody_else_is_not_packed_over(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(Failure, match="holds something else"):
        gpu_pack.make_pack(tmp_path, tmp_path, Path(sys.executable))
    assert (tmp_path / "mine.txt").exists()
    with pytest.raises(Failure, match="was not made by"):
        gpu_pack.check_pack(tmp_path)
