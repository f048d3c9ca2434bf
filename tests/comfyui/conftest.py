"""What the tests against a real ComfyUI share: the host, the pack in it, and tiny models."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

LAB = "detour_test_lab"


@pytest.fixture(scope="session")
def lab() -> ModuleType:
    """The helper module `lab.py`, which loads the host and the pack once."""
    if LAB in sys.modules:
        return sys.modules[LAB]
    if "COMFYUI_PATH" not in os.environ:
        pytest.fail("COMFYUI_PATH does not name a ComfyUI: run these tests by `dev.py test`.")
    spec = importlib.util.spec_from_file_location(LAB, Path(__file__).with_name("lab.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[LAB] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _as_the_host_runs_nodes() -> Iterator[None]:
    with torch.inference_mode():
        yield
