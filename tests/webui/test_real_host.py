"""`WEBUI_PATH` names a checkout of a real host: its own modules and U-Net class with Detour.

Without it these tests are skipped. Nothing is sampled and no model is loaded; what a host
needs beside itself (its `repositories`) is used where it is there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from stand_in import ARGUMENTS

HERE = Path(__file__).resolve().parent
HOST = os.environ.get("WEBUI_PATH")
pytestmark = pytest.mark.skipif(HOST is None, reason="WEBUI_PATH names no web UI")


def run(python: str, script: str, *arguments: str) -> dict:
    """The line of JSON that a script prints last."""
    result = subprocess.run(
        [python, str(HERE / script), str(Path(HOST).resolve()), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_the_hosts_own_u_net_is_bypassed_and_restored():
    found = run(sys.executable, "real_unet.py")
    assert found.pop("modules run at 1") == 0
    assert found.pop("where")
    assert all(found.values()), found


def test_the_hosts_own_loader_builds_panel_and_tab_once(tmp_path):
    generation = "4" if (Path(HOST) / "backend").is_dir() else "3"
    python = os.environ.get(f"DETOUR_GRADIO{generation}")
    if python is None:
        pytest.skip(f"DETOUR_GRADIO{generation} names no Python: run this by `dev.py test`.")
    packages = str(Path(torch.__file__).resolve().parents[1])
    found = run(python, "real_modules.py", packages, str(tmp_path / "data"))
    assert found["extension"] == ["detour"]
    assert found["load 1"] == found["load 2"] == [1, 1]
    assert found["sampling hook"]
    assert found["api name"] == "detour"
    assert len(found["arguments"]) == len(ARGUMENTS)
    assert found["ids"][1] == "script_txt2img_detour_strength"
    assert found["tabs"] == [["Detour", "detour_tab"]]
    assert found["leaked"] == []
    assert found["infotext"] is True or "cannot be imported" in found["infotext"]
    assert found["axes"] in (len(ARGUMENTS) - 1, 0)
