"""A real host of the A1111 family (not SD.Next, which has other modules), as someone has it:

- `WEBUI_PATH`: its checkout, with what it cloned into `repositories`;
- `WEBUI_PYTHON`: the Python of its own environment, in most installations
  `venv/bin/python` below the checkout (Windows: `venv\\Scripts\\python.exe`).

The host's own start builds its whole page with Detour in it, and Detour's hooks are tried on the
host's own U-Net class; nothing stands in for a package of the host's. Nothing is sampled and no
model is loaded. A web UI that runs from WEBUI_PATH with that Python is all that is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from stand_in import ARGUMENTS

HERE = Path(__file__).resolve().parent
HOST = os.environ.get("WEBUI_PATH")
PYTHON = os.environ.get("WEBUI_PYTHON")
pytestmark = pytest.mark.skipif(
    not HOST or not PYTHON,
    reason="Set WEBUI_PATH to a web UI and WEBUI_PYTHON to the Python of its own environment.",
)


def run(script: str, *arguments: str) -> dict:
    """The line of JSON that a script prints last."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    result = subprocess.run(
        [PYTHON, str(HERE / script), str(Path(HOST).resolve()), *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        env=environment,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_the_hosts_own_u_net_is_bypassed_and_restored():
    found = run("real_unet.py")
    assert found.pop("modules run at 1") == 0
    assert (Path(HOST) / found.pop("where")).is_file()
    assert all(found.values()), found


def test_the_hosts_own_start_builds_panel_and_tab_once(tmp_path):
    found = run("real_modules.py", str(tmp_path / "data"))
    assert found["extensions"] == ["detour"]
    assert found["page"] == {
        "scripts": 1,
        "denoiser callbacks": 1,
        "panels": [1, 1, 1, 1],
        "tabs": 1,
        "axes": len(ARGUMENTS) - 1,
    }
    assert found["reloaded page"] == found["page"]
    assert found["sampling hook"]
    assert [len(arguments) for arguments in found["api"]] == [len(ARGUMENTS)] * 2
    assert found["infotext"] is True
    assert found["leaked"] == []
