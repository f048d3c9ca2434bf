"""A real torch from before 2.6, whose own reader runs what ours refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PYTHON = os.environ.get("DETOUR_OLD_TORCH", "")


@pytest.mark.skipif(not PYTHON, reason="dev.py test --old-torch prepares it")
def test_a_program_that_torch_2_1_2_runs_is_not_run_by_us(tmp_path: Path) -> None:
    libraries = os.environ["DETOUR_OLD_TORCH_LIBRARIES"]
    result = subprocess.run(
        [PYTHON, "-W", "ignore", str(Path(__file__).with_name("old_torch.py"))],
        cwd=tmp_path,
        env={**os.environ, "LD_LIBRARY_PATH": libraries, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "torch 2.1.2+cu121 ran it: True", "the program is harmless"
    assert "is read from torch 2.6 on; this is 2.1.2" in lines[1]
    assert "save_file(torch.load('plain.pth', weights_only=True)" in lines[2]
    assert lines[3] == "plain.safetensors: it was read"
    assert "is a TorchScript program" in lines[4]
    assert lines[5] == "reader, plain.pth: it was read"
    assert "more than the file holds" in lines[6]
    assert lines[7] == "ran: False"
