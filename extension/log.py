"""The logger that Detour writes to in a web UI."""

from __future__ import annotations

import logging
import sys


def _find_log() -> logging.Logger:
    """SD.Next throws away whatever is not written to its own logger or a child of it."""
    own = getattr(sys.modules.get("modules.logger"), "log", None)
    return logging.getLogger("detour") if own is None else own.getChild("detour")


log = _find_log()
