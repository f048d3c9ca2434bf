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
import threading
from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPBasic
from pydantic import BaseModel, Field

from ..detour.checks import LARGEST_SEED, MOST_WEIGHTS, STRONGEST_DEGREE
from ..detour.files import classifier_names, edit_names
from ..detour.search.settings import AUTO, KEEP_RIGHT, LEAST_KEPT, METHODS, SIZES
from .credentials import credentials
from .folders import edit_roots, model_roots
from .requests import StrictRoute
from .work import Work, sentence

PREFIX = "/detour/v1"
MOST_PICTURES = 256
LONGEST_PICTURE = 2**25
"""Letters of base64 in one picture."""
SEARCHES, OTHERS = 1, 4
"""So many searches, and other pieces of work, are done at the same time."""


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
    """Where to save it, and on what to check it."""

    edit: str = Field(..., min_length=1)
    save_as: str = Field("", description="a name in models/image_classifiers, or nothing")
    probes: str = Field("", description="labelled pictures to check it on: a folder, or nothing")


class Neutralize(BaseModel):
    """What to look for, and on which probes. The words are those of Neutralize Shortcut."""

    classifier: str
    edit: str = Field("", description="edits that the classifier has already: a file, or nothing")
    probes: str = Field(..., description="a folder of labelled pictures, as in the tab")
    method: Literal[METHODS] = METHODS[0]
    size: Literal[(AUTO, *SIZES)] = Field(
        AUTO, description="how many numbers may change: the node's 'edit'"
    )
    target_class: str = ""
    degree: float = Field(1.0, ge=-STRONGEST_DEGREE, le=STRONGEST_DEGREE)
    max_weights: int = Field(3, ge=1, le=MOST_WEIGHTS)
    attribute: str = ""
    split_seed: int = Field(0, ge=0, le=LARGEST_SEED)
    auto_degree: bool = True
    keep_right: float = Field(KEEP_RIGHT, ge=LEAST_KEPT, le=1)
    save_as: str = Field("", description="a name for the edit file, or nothing")


def add_routes(app: FastAPI, options: Any) -> None:
    """Put the routes into a host's app, behind the names and passwords of its options."""
    basic = HTTPBasic(auto_error=False)
    route = type("GuardedRoute", (StrictRoute,), {"admit": _guard(credentials(options), basic)})
    # The dependency only tells the host's page of routes that there is a name and a password.
    router = APIRouter(prefix=PREFIX, route_class=route, dependencies=[Depends(basic)])
    actions = _Actions()
    router.add_api_route("/classifiers", list_classifiers, methods=["GET"])
    router.add_api_route("/classify", actions.classify, methods=["POST"])
    router.add_api_route("/apply-edit", actions.apply_edit, methods=["POST"])
    router.add_api_route("/neutralize", actions.neutralize, methods=["POST"])
    app.include_router(router)


def _guard(known: dict[str, str], basic: HTTPBasic) -> Any:
    """The `StrictRoute.admit` that lets everyone in where no passwords are known, as the host's
    page then does."""

    async def admit(request: Request) -> None:
        if not known:
            return
        given = await basic(request)
        expected = known.get(given.username) if given is not None else None
        typed = given.password if given is not None else ""
        if expected is None or not secrets.compare_digest(typed.encode(), expected.encode()):
            raise HTTPException(
                401, "Wrong name or password.", {"WWW-Authenticate": "Basic realm=Detour"}
            )

    return staticmethod(admit)


def list_classifiers() -> dict[str, list[str]]:
    """The classifiers and the edit files that can be named in the other routes."""
    return {"classifiers": classifier_names(model_roots()), "edits": edit_names(edit_roots())}


class _Actions:
    """The routes that compute; some of each kind at a time, the others are told to come back."""

    def __init__(self) -> None:
        self.searches = threading.BoundedSemaphore(SEARCHES)
        self.others = threading.BoundedSemaphore(OTHERS)

    def classify(self, asked: Classify) -> dict[str, Any]:
        """For each picture its label, score, and the highest scores."""
        return _answered(
            self.others, lambda actions: actions.classified(_work(), asked, _decoded(asked.images))
        )

    def apply_edit(self, asked: ApplyEdit) -> dict[str, Any]:
        """The numbers that an edit changes in a classifier, and what that does; saved with it by
        `save_as`."""
        return _answered(self.others, lambda actions: actions.edited(_work(), asked))

    def neutralize(self, asked: Neutralize) -> dict[str, Any]:
        """An edit that takes the suspect feature out: its report, its numbers, and itself."""
        return _answered(self.searches, lambda actions: actions.neutralized(_work(), asked))


def _work() -> Work:
    return Work(lambda _share, _what: None)


def _answered(
    room: threading.BoundedSemaphore, do: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """What the action gives; a sentence with another status for what cannot be done."""
    if not room.acquire(blocking=False):
        told = "Detour is busy with other requests: send this one again later."
        raise HTTPException(429, told, {"Retry-After": "5"})
    try:
        return do(importlib.import_module(".route_actions", __package__))
    except FileNotFoundError as error:
        raise HTTPException(404, sentence(error)) from None
    except MemoryError:
        raise HTTPException(507, "The memory does not suffice for this: send less.") from None
    except (ValueError, OSError, ImportError) as error:
        raise HTTPException(400, sentence(error)) from None
    finally:
        room.release()


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
