"""The contract of the hosts' loaders: by path, twice, with our root on `sys.path` or not."""

from __future__ import annotations

import configparser
import subprocess
import sys

import pytest
from stand_in import ROOT, SHIM, Script, modules_in_place, run_shim

OURS = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()} - {"docs"}


@pytest.mark.parametrize("permanently", [False, True])
def test_the_shim_loads_twice_and_leaks_no_module(monkeypatch, permanently):
    with modules_in_place("a1111") as made:
        before = set(sys.modules)
        if permanently:
            monkeypatch.syspath_prepend(str(ROOT))
        first = run_shim(SHIM)
        callbacks = made["modules.script_callbacks"]
        assert {e: len(f) for e, f in callbacks.lists.items() if f} == {
            "ui_settings": 1,
            "before_ui": 1,
            "script_unloaded": 1,
            "cfg_denoiser": 1,
            "model_loaded": 1,
            "ui_tabs": 1,
            "app_started": 1,
        }
        callbacks.clear_callbacks()  # what "Reload UI" does
        second = run_shim(SHIM)
        run_shim(SHIM)
        assert len(callbacks.lists["cfg_denoiser"]) == 1
        assert second.DetourScript is first.DetourScript
        new = {name.split(".")[0] for name in set(sys.modules) - before}
        assert "detour_webui" in new
        assert not new & OURS


def test_exactly_one_script_class_is_in_the_shims_names():
    with modules_in_place("a1111"):
        names = vars(run_shim(SHIM))
        found = [v for v in names.values() if isinstance(v, type) and issubclass(v, Script)]
        assert [kind.__name__ for kind in found] == ["DetourScript"]
        assert type(found[0]) is type


def test_the_roots_entry_for_comfyui_is_not_run():
    with modules_in_place("a1111"):
        run_shim(SHIM)
        assert not hasattr(sys.modules["detour_webui"], "WEB_DIRECTORY")
        assert not any(name.startswith("detour_webui.nodes") for name in sys.modules)


def test_the_folders_are_harmless_as_top_level_names():
    """The Forge family leaves every extension's root in front of `sys.path` for good."""
    code = (
        "import sys; before = set(sys.modules); import nodes, detour, extension; "
        "print(sorted(n for n in set(sys.modules) - before if n.split('.')[0] not in "
        "('nodes', 'detour', 'extension') and n not in sys.stdlib_module_names))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_metadata_names_the_extension():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "metadata.ini")
    assert metadata["Extension"]["Name"] == "detour"


def test_install_installs_nothing_and_says_at_most_one_line():
    result = subprocess.run(
        [sys.executable, str(ROOT / "install.py")], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0 and not result.stderr
    assert len(result.stdout.splitlines()) <= 1
    assert "pip" not in (ROOT / "install.py").read_text(encoding="utf-8")
