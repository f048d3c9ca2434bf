"""What AUTOMATIC1111's web UI and its relatives execute, by path and without a package.

It makes this repository a package under a name of its own, without running the root's
`__init__.py` (ComfyUI's entry), and hands over to `extension/`.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

_NAME = "detour_webui"

if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_loader(_NAME, loader=None, is_package=True)
    _package = importlib.util.module_from_spec(_spec)
    _package.__path__ = [str(Path(__file__).resolve().parents[1])]
    sys.modules[_NAME] = _package

_webui = importlib.import_module(_NAME + ".extension.script")
# Each time: "Reload UI" forgets all callbacks and runs only this file again.
_webui.register()
# Every Script class in this file's names is loaded, so there is exactly one.
DetourScript = _webui.DetourScript
