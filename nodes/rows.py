"""Which rows of a model call belong to the prompt and which to the negative prompt.

The host tells for each chunk of a batch its place in the list of conditionings that were
evaluated, and what lies at a place depends on who evaluated them: the guiders for two and three
conditionings have orders of their own, and some patches evaluate one alone. So the conditionings
themselves are looked up in the guider's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ROLES: dict[str, bool | None] = {
    "positive": True,
    "negative": False,
    "middle": None,  # DualCFGGuider's second conditioning
    "empty_negative_prompt": None,  # PerpNegGuider's
}
"""What a guider's conditionings are, by its name for them: the prompt, the negative prompt, or
(None) a third one that is neither."""

UNKNOWN = "unknown"
Role = bool | str | None

REFUSAL = (
    "It cannot be told which rows of this model call belong to the prompt and which to the "
    "negative prompt; use apply_to = both."
)


def roles_of(guider: Any, conds: Sequence[Any]) -> tuple[Role, ...]:
    """For each of the conditionings that are evaluated together its role for `guider`."""
    return tuple(_role(getattr(guider, "conds", None) or {}, cond) for cond in conds)


def _role(known: dict[str, Any], cond: Any) -> Role:
    """By the list itself. Where it was cut to a window, by the ids of its parts in their order:
    an id alone may be in two lists, since areas get a copy in each."""
    names = [name for name, own in known.items() if own is cond]
    if not names:
        names = [name for name, own in known.items() if cond and _ids(own) == _ids(cond)]
    roles = {ROLES.get(name, UNKNOWN) for name in names}
    return roles.pop() if len(roles) == 1 else UNKNOWN


def _ids(cond: Any) -> list[Any]:
    return [part.get("uuid", object()) for part in cond or ()]


def conditioned(
    options: dict[str, Any], roles: Sequence[Role], rows: int, in_tiles: bool
) -> list[bool | None]:
    """For each row of a model call whether it belongs to the prompt; None is neither.

    options: the call's transformer options. roles: of the conditionings under way, by place.
    in_tiles: whether the rows of all chunks may come once for each of several tiles.
    Raises ValueError where it cannot be told.
    """
    chunks, latents = options.get("cond_or_uncond"), options.get("sigmas")
    if not chunks or latents is None or max(chunks) >= len(roles):
        raise ValueError(REFUSAL)
    found = [roles[chunk] for chunk in chunks for _ in range(len(latents))]
    tiles, rest = divmod(rows, len(found) or 1)
    if UNKNOWN in found or rest or tiles < 1 or (tiles > 1 and not in_tiles):
        raise ValueError(REFUSAL)
    return [role for role in found if not isinstance(role, str)] * tiles


def is_second_models(guider: Any, model: Any, conds: Sequence[Any]) -> bool:
    """True if the guider evaluates a model other than the one that it was made for:
    DualModelGuider gives the negative prompt to a second one, which may be a patched copy that
    shares everything with the first."""
    seconds = getattr(guider, "_uncond_conds", None)
    is_seconds = seconds is not None and any(cond is seconds for cond in conds)
    return is_seconds or model is not getattr(guider, "inner_model", model)
