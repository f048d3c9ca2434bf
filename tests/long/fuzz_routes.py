"""Requests to the web UI's routes: bodies, values and paths of every kind, over real HTTP."""

from __future__ import annotations

import http.client
import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hostile import changed, damaged, nested, value
from watch import ROOT, Case, Make, Refused, Wrong

LONGEST = 600
"""Letters of a sentence in an answer."""
STATUS = (*range(400, 430), 431)
KINDS = ("application/json", "text/plain", "application/json; charset=utf-16", "", "\u00e9")
VERBS = ("POST", "POST", "POST", "GET", "PUT", "DELETE", "PATCH", "OPTIONS")
GENERATION = "DETOUR_GRADIO4"


@contextmanager
def opened(folder: Path) -> Iterator[Make]:
    """The generator: our routes in an environment with a real Gradio, behind its own server."""
    sys.path.insert(0, str(ROOT / "tests" / "webui"))
    from gradio_app import served
    from tab_probes import write_data
    from test_routes import Routes, bodies, one_bias, write_probes

    data = folder / "data"
    data.mkdir()
    write_data(data, 40)
    write_probes(data / "detour" / "probes" / "few", 8, ("long hair",))
    with served(GENERATION, data) as told:
        routes = Routes(told["tab"], data)
        (routes.edits / "good.edit.json").write_text(one_bias(0.5), encoding="utf-8")
        whole = bodies(routes)
        whole["apply-edit"]["edit"] = "good.edit.json"
        yield lambda draw, _place: make_case(draw, routes, whole)


def make_case(draw: random.Random, routes: Any, whole: dict[str, dict]) -> Case:
    """A request to one of the routes; `whole`: a good body for each."""
    path = draw.choice(list(whole))
    body = json.dumps(_body(draw, whole[path])).encode("utf-8", "surrogatepass")
    verb, kind = "POST", "application/json"
    act = draw.randrange(8)
    if act == 0:
        body = damaged(draw, json.dumps(whole[path]).encode())
    elif act == 1:
        body = draw.choice((nested(draw).encode(), json.dumps(value(draw)).encode(), b""))
    elif act == 2:
        verb, kind = draw.choice(VERBS), draw.choice(KINDS[:4])
    return Case(
        f"{verb} {path} {kind} {body[:200]!r}",
        lambda: _ask(routes, verb, path, body, kind),
        always=True,
    )


def _body(draw: random.Random, whole: dict) -> Any:
    """A request with other values, fields, or names of files."""
    other = changed(draw, whole)
    if isinstance(other, dict) and draw.random() < 0.2:
        name = draw.choice(("../x", "a/../../b", "people", "hostile.pt", "only_long", "damaged"))
        other[draw.choice(("classifier", "edit", "probes", "save_as"))] = name
    return other


def _ask(routes: Any, verb: str, path: str, body: bytes, kind: str) -> None:
    """Ask, and judge the answer; raises Refused with its sentence."""
    from test_routes import WORDS

    connection = http.client.HTTPConnection(routes.place, timeout=200)
    try:
        headers = {"Authorization": f"Basic {WORDS}", "Content-Type": kind}
        connection.request(verb, f"/detour/v1/{path}", body, headers)
        answer = connection.getresponse()
        status, text = answer.status, answer.read()
    finally:
        connection.close()
    left = [file.name for file in routes.data.rglob(".detour-*")]
    if left or (routes.data / "it_ran").exists():
        raise Wrong(f"left behind: {left or 'a program ran'}")
    if status == 200:
        json.loads(text)
        return
    if status not in STATUS:
        raise Wrong(f"status {status}: {text[:300]!r}")
    if verb != "POST":
        raise Refused("The server has no such route.")
    told = json.loads(text)["detail"]
    if not isinstance(told, str) or len(told) > LONGEST:
        raise Wrong(f"status {status} with no sentence: {text[:300]!r}")
    raise Refused(told)
