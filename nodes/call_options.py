"""The transformer options of one model call: found, and handed on without what is ours.

torch.compile makes a new graph for whatever is new in them, so that the U-Net is given what it
would have without Detour.
"""

from __future__ import annotations

from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

KEY = "detour"
"""Of our wrappers, and of what we keep in a run's transformer options."""


def options_of(args: tuple, kwargs: dict) -> dict:
    """The call's options: the sixth positional argument, or a keyword if a wrapper made it one."""
    if "transformer_options" in kwargs:
        return kwargs["transformer_options"]
    return args[3] if len(args) > 3 else {}


def with_options(options: dict, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The arguments with other options in the same place."""
    if "transformer_options" in kwargs:
        return args, {**kwargs, "transformer_options": options}
    return ((*args[:3], options, *args[4:]) if len(args) > 3 else args), kwargs


def is_first(options: dict) -> bool:
    """Whether no wrapper of the call comes before ours, which could have changed its sigmas."""
    return next(iter(options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {})), KEY) == KEY


def handed_on(options: dict, ran: list[bool]) -> tuple[dict, bool]:
    """The options without ours, and whether `ran` will get an entry if the U-Net runs.

    It surely runs where nothing else hangs around it. Else (EasyCache answers some calls by
    itself) the innermost wrapper there notes it.
    """
    if len(options.get(KEY, ())) > 1:  # others of us come later in the call (a hook's)
        return options, False
    plain = {name: value for name, value in options.items() if name != KEY}
    for kind in ("wrappers", "callbacks"):
        if kind in plain:
            plain[kind] = _without_ours(plain[kind])
    around = plain.get("wrappers", {}).get(WrappersMP.DIFFUSION_MODEL)
    if around:
        around[KEY] = [_note_that_it_runs]
        plain[KEY] = ran
    return plain, bool(around)


def _without_ours(by_kind: dict[str, dict]) -> dict[str, dict]:
    kept = {
        kind: {key: functions for key, functions in by_key.items() if key != KEY}
        for kind, by_key in by_kind.items()
    }
    return {kind: by_key for kind, by_key in kept.items() if by_key}


@torch.compiler.disable(recursive=False)
def _note_that_it_runs(executor: Any, *args: Any, **kwargs: Any) -> Any:
    for given in (*args, *kwargs.values()):
        if isinstance(given, dict) and KEY in given:
            given[KEY].append(True)
    return executor(*args, **kwargs)
