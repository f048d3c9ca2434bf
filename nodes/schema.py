"""Node schemas that load on old and new hosts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

NEWER_FIELDS = ("search_aliases", "essentials_category", "advanced")
"""Fields that later hosts added; a host that does not know them refuses the whole pack."""

CATEGORY = "Detour"


def build(factory: Callable[..., Any], *args: Any, **fields: Any) -> Any:
    """`factory(*args, **fields)` without those newer fields that this host does not know.

    Any other unknown field fails as usual, so that a slip of the pen is seen.
    """
    known = inspect.signature(factory).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    kept = {
        name: value
        for name, value in fields.items()
        if takes_all or name in known or name not in NEWER_FIELDS
    }
    return factory(*args, **kept)
