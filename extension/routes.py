"""Detour's routes: the classifiers and edits of the tab for other programs.

GET /detour/v1/classifiers; POST /detour/v1/classify, /detour/v1/apply-edit and
/detour/v1/neutralize. Names are relative to the host's folders, pictures to classify come in the
request as base64.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import secrets
from collections.abc import Callable
from typing import Any, Literal

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, Field

from ..detour.file_names import classifier_names, edit_names
from ..detour.spurious import EDITS, METHODS
from ..detour.user_input import LARGEST_SEED, MOST_WEIGHTS, STRONGEST_DEGREE
from .credentials import credentials
from .folders import edit_roots, model_roots
from .tab_session import Work, sentence

PREFIX = "/detour/v1"
MOST_PICTURES = 256
LONGEST_PICTURE = 2**25
"""Letters of base64 in one picture."""


class Asked(BaseModel):
    """The classifier that a request is about, with the edits of a file."""

    classifier: str
    edit: str = Field("", description="an edit file of /classifiers, or nothing")
    degree: float = Field(1.0, ge=-STRONGEST_DEGREE, le=STRONGEST_DEGREE)


class Classify(Asked):
    """Pictures for it."""

    images: list[str] = Field(..., description="pictures as base64, with or without data:")
    top_k: int = Field(3, ge=1, le=100)
    threshold: float = Field(0.0, ge=0, le=1)


class ApplyEdit(Asked):
    """Where to save it."""

    edit: str = Field(..., min_length=1)
    save_as: str = Field("", description="a name in models/image_classifiers, or nothing")


class Neutralize(BaseModel):
    """What to look for, and on which probes. The words are those of Neutralize Shortcut."""

    classifier: str
    edit: str = Field("", description="edits that the classifier has already: a file, or nothing")
    probes: str = Field(..., description="a folder of labelled pictures, as in the tab")
    method: Literal[METHODS] = METHODS[0]
    size: Literal[("auto", *EDITS)] = Field(
        "auto", description="how many numbers may change: the node's 'edit'"
    )
    target_class: str = ""
    degree: float = Field(1.0, ge=-STRONGEST_DEGREE, le=STRONGEST_DEGREE)
    max_weights: int = Field(3, ge=1, le=MOST_WEIGHTS)
    attribute: str = ""
    split_seed: int = Field(0, ge=0, le=LARGEST_SEED)
    auto_degree: bool = True
    save_as: str = Field("", description="a name for the edit file, or nothing")


def add_routes(app: FastAPI, options: Any) -> None:
    """Put the routes into a host's app, behind the names and passwords of its options."""
    guard = [Depends(_guard(credentials(options)))]
    for path, method, endpoint in (
        ("/classifiers", "GET", list_classifiers),
        ("/classify", "POST", classify),
        ("/apply-edit", "POST", apply_edit),
        ("/neutralize", "POST", neutralize),
    ):
        app.add_api_route(PREFIX + path, endpoint, methods=[method], dependencies=guard)


def _guard(known: dict[str, str]) -> Callable[..., None]:
    """Lets everyone in where no passwords are known, as the host's page then does."""

    def check(given: HTTPBasicCredentials | None = Depends(HTTPBasic(auto_error=False))) -> None:  # noqa: B008
        if not known:
            return
        expected = known.get(given.username) if given is not None else None
        typed = given.password if given is not None else ""
        if expected is None or not secrets.compare_digest(typed.encode(), expected.encode()):
            raise HTTPException(
                401, "Wrong name or password.", {"WWW-Authenticate": "Basic realm=Detour"}
            )

    return check


def list_classifiers() -> dict[str, list[str]]:
    """The classifiers and the edit files that can be named in the other routes."""
    return {"classifiers": classifier_names(model_roots()), "edits": edit_names(edit_roots())}


def classify(asked: Classify) -> dict[str, Any]:
    """For each picture its label, score, and the highest scores."""
    return _answered(lambda actions: actions.classified(_work(), asked, _decoded(asked.images)))


def apply_edit(asked: ApplyEdit) -> dict[str, Any]:
    """The numbers that an edit changes in a classifier; saved with it if `save_as` is given."""
    return _answered(lambda actions: actions.edited(asked))


def neutralize(asked: Neutralize) -> dict[str, Any]:
    """An edit that takes the suspect feature out: its report, its numbers, and the edit itself."""
    return _answered(lambda actions: actions.neutralized(_work(), asked))


def _work() -> Work:
    return Work(lambda _share, _what: None)


def _answered(do: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """What the action gives; a sentence with status 400 or 404 for what cannot be done."""
    try:
        return do(importlib.import_module(".route_actions", __package__))
    except FileNotFoundError as error:
        raise HTTPException(404, sentence(error)) from None
    except (ValueError, OSError, ImportError) as error:
        raise HTTPException(400, sentence(error)) from None


def _decoded(images: list[str]) -> list[bytes]:
    if not 1 <= len(images) <= MOST_PICTURES:
        raise ValueError(f"There are {len(images)} images; send 1 to {MOST_PICTURES}.")
    return [_bytes(number, text) for number, text in enumerate(images)]


def _bytes(number: int, text: str) -> bytes:
    if len(text) > LONGEST_PICTURE:
        raise ValueError(f"images[{number}] is longer than {LONGEST_PICTURE} letters of base64.")
    try:
        return base64.b64decode(text.partition(",")[2] or text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"images[{number}] is not base64: encode the picture's file.") from None
