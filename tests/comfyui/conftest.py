"""What the tests against a real ComfyUI share: the host, the pack in it, and tiny models."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from tests.conftest import leave_out_what_is_here

LAB = "detour_test_lab"
sys.path.append(str(Path(__file__).parent))  # for graph_parts.py; behind the host's own folder


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
    module.before_the_pack()
    leave_out_what_is_here()
    return module


@pytest.fixture(autouse=True)
def _as_the_host_runs_nodes() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def host_folders(lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's folders (models, input, output, temp) below a folder of the test, empty but
    for the classifiers that come with Detour."""
    lab.load_pack()
    import folder_paths

    for name in ("models", "input", "output", "temp"):
        (tmp_path / name).mkdir()
        if name != "models":
            monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    paths, endings = folder_paths.folder_names_and_paths["image_classifiers"]
    changed = ([str(tmp_path / "models"), paths[-1]], endings)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "image_classifiers", changed)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return tmp_path


def beside(name: str) -> ModuleType:
    """A helper module that lies here, loaded by its file."""
    spec = importlib.util.spec_from_file_location(
        f"detour_test_{name}", Path(__file__).with_name(f"{name}.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bench(lab: ModuleType, host_folders: Path) -> Any:
    """What the tests of the edit nodes need: `Bench` of neutralize_lab.py, in own folders."""
    return beside("neutralize_lab").Bench(lab)


@pytest.fixture
def guided(lab: ModuleType) -> Any:
    """What the tests of guiders need: `Guided` of guided_lab.py."""
    return beside("guided_lab").Guided(lab)


@pytest.fixture
def transformers(lab: ModuleType) -> Any:
    """Tiny random transformers of the host's classes: `Transformers` of transformer_lab.py."""
    return beside("transformer_lab").Transformers(lab)


@pytest.fixture
def ranges(lab: ModuleType, transformers: Any) -> Any:
    """What the tests of ranges of blocks need: `Ranges` of blocks_lab.py."""
    return beside("blocks_lab").Ranges(lab, transformers)


@pytest.fixture
def reliefs(lab: ModuleType, guided: Any) -> Any:
    """What the tests of the relief of guidance need: `Reliefs` of relief_lab.py."""
    return beside("relief_lab").Reliefs(lab, guided)


@pytest.fixture
def fades(lab: ModuleType) -> Any:
    """What the tests of the prompt's fade need: `Fades` of fade_lab.py."""
    return beside("fade_lab").Fades(lab)


@pytest.fixture
def notices(monkeypatch) -> list[tuple[str, str, bool]]:
    """What the browser is told, through a stand-in for the host's server: node, text, missed."""
    sent: list[tuple[str, str, bool]] = []

    def send_sync(event: str, data: dict, client: str) -> None:
        assert (event, client) == ("detour.notice", "this window")
        sent.append((data["node"], data["text"], data["missed"]))

    server = SimpleNamespace(send_sync=send_sync, client_id="this window")
    module = SimpleNamespace(PromptServer=SimpleNamespace(instance=server))
    monkeypatch.setitem(sys.modules, "server", module)
    return sent
