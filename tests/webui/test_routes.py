"""Detour's routes over HTTP: what they answer; and asked wrongly, by other pages, too often, and
with values of every kind."""

from __future__ import annotations

import base64
import http.client
import json
import random
import socket
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tab_probes import CLASSIFIER, OWN, write_probes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "long"))
from fuzz_routes import make_case
from watch import Refused, check_sentence

from detour.classifier.load import load_classifier
from detour.edit.edited import unedited_stack
from detour.edit.file import to_json
from detour.edit.record import Cell, Edit

POSTED = ("classify", "apply-edit", "neutralize")
WORDS = base64.b64encode(b"someone:a:secret").decode()
JSON = "application/json"
LONGEST = 600
"""Letters of a sentence."""
REQUESTS = 200


@pytest.fixture(scope="module")
def routes(web):
    """How to ask the routes of one generation, and the data folder."""
    write_probes(web["data"] / "detour" / "probes" / "few", 8, ("long hair",))
    return Routes(web["tab"], web["data"])


class Routes:
    """A server's routes."""

    def __init__(self, url: str, data: Path) -> None:
        self.place, self.data = urlsplit(url).netloc, data
        self.edits = data / "detour" / "edits"
        self.edits.mkdir(exist_ok=True)

    def ask(self, path, body=b"", kind=JSON, known=True) -> tuple[int, Any]:
        """Status and JSON of an answer to a body as it is, or to one made into JSON; GET for
        None. known: with the host's name and password."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Basic {WORDS}"} if known else {}
        if kind is not None:
            headers["Content-Type"] = kind
        method = "GET" if body is None else "POST"
        with closing(http.client.HTTPConnection(self.place, timeout=120)) as connection:
            connection.request(method, f"/detour/v1/{path}", raw, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())


def pictures(routes) -> list[str]:
    files = sorted((routes.data / "outputs" / "2026-01-31").iterdir())
    return [base64.b64encode(file.read_bytes()).decode() for file in files]


def bodies(routes) -> dict[str, dict]:
    """A request for each route, small and answered with 200 or, of the search, with 400."""
    return {
        "classify": {"classifier": CLASSIFIER, "images": pictures(routes)[:1], "top_k": 1},
        "apply-edit": {"classifier": CLASSIFIER, "edit": "none.edit.json", "save_as": ""},
        "neutralize": {
            "classifier": CLASSIFIER,
            "probes": "few",
            "method": "worst_group",
            "size": "auto",
            "target_class": "",
            "attribute": "",
            "split_seed": 0,
            "max_weights": 3,
            "auto_degree": True,
            "edit": "",
            "save_as": "",
        },
    }


def test_routes_are_behind_the_hosts_password(routes):
    assert routes.ask("classifiers", None, known=False)[0] == 401
    for path in POSTED:
        assert routes.ask(path, {}, known=False)[0] == 401
    status, told = routes.ask("classifiers", None)
    assert status == 200 and CLASSIFIER in told["classifiers"]


def test_the_route_classifies_as_the_page_does(routes):
    sent = pictures(routes)
    sent[1] = f"data:image/png;base64,{sent[1]}"
    status, told = routes.ask("classify", {"classifier": CLASSIFIER, "images": sent, "top_k": 1})
    assert status == 200 and told["labels"] == ["nurse", "builder"]
    assert len(told["predictions"]) == 6
    assert {one["label"] for one in told["predictions"]} <= {"nurse", "builder"}


def test_the_route_applies_an_edit_and_saves_the_classifier(routes):
    (routes.edits / "route.edit.json").write_text(one_bias(0.5), encoding="utf-8")
    asked = {"classifier": CLASSIFIER, "edit": "route.edit.json"}
    status, told = routes.ask("apply-edit", {**asked, "save_as": "by_route"})
    assert status == 200 and told["saved_as"] == "by_route.safetensors"
    (change,) = told["changed"]
    assert (change["row"], change["column"], change["to"]) == (1, None, 0.5)
    images = pictures(routes)
    edited = routes.ask("classify", {**asked, "images": images})
    saved = routes.ask("classify", {"classifier": told["saved_as"], "images": images})
    assert edited[1]["predictions"] == saved[1]["predictions"]
    plain = routes.ask("classify", {**asked, "degree": 0, "images": images})
    assert plain[1]["predictions"] != saved[1]["predictions"]


def test_the_route_neutralizes_and_its_edit_applies(routes):
    asked = {"classifier": CLASSIFIER, "probes": "people", "size": "one_weight_bias"}
    status, told = routes.ask("neutralize", {**asked, "save_as": "found_by_route"})
    assert status == 200 and told["saved_as"] == "found_by_route.edit.json"
    (edit,), numbers = told["edit"]["edits"], told["numbers"]
    after = numbers["after"]["worst_group_accuracy"]
    assert after > numbers["before"]["worst_group_accuracy"] + 0.1
    assert f"{100 * after:.1f} %" in told["report"]
    found = {"classifier": CLASSIFIER, "edit": "found_by_route.edit.json"}
    status, applied = routes.ask("apply-edit", found)
    assert status == 200
    cells = {(cell["row"], cell["column"]): cell["new"] for cell in edit["cells"]}
    assert {(one["row"], one["column"]): one["to"] for one in applied["changed"]} == cells
    assert edit["proof"] in applied["report"] and applied["check"] is None
    status, half = routes.ask("apply-edit", {**found, "degree": 0.5})
    assert status == 200 and "Here: at degree 0.5." in half["report"]
    status, applied = routes.ask("apply-edit", {**found, "probes": "people"})
    assert status == 200 and applied["check"]["gain"]["verdict"] == "improved"
    assert applied["check"]["unseen"] is False and "only if these probes" in applied["report"]


def one_bias(value: float) -> str:
    """An edit file for the demo's classifier: the bias of class 1 becomes `value`."""
    made = load_classifier(OWN)
    cell = Cell(1, None, float(made.bias[1]), value)
    return json.dumps(to_json(unedited_stack(made).push(Edit((cell,)))))


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("classify", {"classifier": "../x.safetensors", "images": ["AA=="]}, 400, "'..'"),
        ("classify", {"classifier": "none.safetensors", "images": ["AA=="]}, 404, "not found"),
        ("classify", {"classifier": "hostile.pt", "images": "PICTURES"}, 400, "was refused"),
        ("classify", {"classifier": CLASSIFIER, "images": []}, 400, "send 1 to"),
        ("classify", {"classifier": CLASSIFIER, "images": ["#"]}, 400, "images[0] is not base64"),
        ("classify", {"classifier": CLASSIFIER, "images": ["AA=="]}, 400, "images[0] is no pict"),
        ("classify", {"classifier": CLASSIFIER, "images": ["AA=="], "top_k": 0}, 422, "top_k"),
        ("apply-edit", {"classifier": CLASSIFIER, "edit": "../x.edit.json"}, 400, "'..'"),
        ("apply-edit", {"classifier": CLASSIFIER, "edit": "no.edit.json"}, 404, "not found"),
        ("apply-edit", {"classifier": CLASSIFIER, "edit": ""}, 422, "edit"),
        ("apply-edit", {"classifier": CLASSIFIER, "edit": "x", "degree": 5}, 422, "degree"),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "../../etc"}, 400, "'..'"),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "nowhere"}, 404, "not found"),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "people", "size": "9"}, 422, "size"),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "x", "method": "x"}, 422, "method"),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "only_long"}, 400, "attribute"),
        ("neutralize", {"classifier": CLASSIFIER, "probes": "x", "keep_right": 0}, 422, "keep_r"),
    ],
)
def test_routes_refuse_in_one_sentence(routes, path, body, status, told):
    if body["classifier"] == "hostile.pt":
        body = {**body, "images": pictures(routes)}
    found, answer = routes.ask(path, body)
    assert found == status and told in json.dumps(answer["detail"], ensure_ascii=False)
    assert not (routes.data / "it_ran").exists()


def test_no_value_makes_an_error_of_the_server(routes):
    """Some of the requests of `tests/long/`. Of 1,944 others 128 were once answered with 500."""
    (routes.edits / "good.edit.json").write_text(one_bias(0.5), encoding="utf-8")
    whole = bodies(routes)
    whole["apply-edit"]["edit"] = "good.edit.json"
    refused = 0
    for seed in range(REQUESTS):
        try:
            make_case(random.Random(seed), routes, whole).act()
        except Refused as error:
            refused += 1
            check_sentence(str(error))
    assert 0.5 * REQUESTS < refused < REQUESTS


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", None]
)
def test_a_page_of_somebody_else_cannot_write_a_classifier(routes, kind):
    """A browser sends these kinds to any address without asking, with the user's password."""
    body = {"classifier": CLASSIFIER, "edit": "none.edit.json", "save_as": "foreign"}
    for path in POSTED:
        status, answer = routes.ask(path, body, kind)
        assert status == 415 and "send it as application/json" in answer["detail"]
    assert not list((routes.data / "models").rglob("foreign*"))
    assert routes.ask("apply-edit", body, "Application/JSON; charset=utf-8")[0] == 404


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "does not fit"),
        (b"{", "cannot be read as JSON"),
        (b"\xff\xfe{}", "cannot be read as JSON"),
        (b'{"classifier": "\xed\xa0\x80"}', "cannot be read as JSON"),
        (b"[" * 100_000, "lists within lists"),
        (b"[]", "does not fit"),
        (b"null", "does not fit"),
        (b'{"degree": NaN}', "it holds NaN"),
        (b'{"degree": 1e999}', "it holds 1e999; every number must be finite"),
        (b'{"top_k": ' + b"9" * 5000 + b"}", "a number of 5000 digits"),
        (b'{"classifier": "\\ud800"}', "surrogates not allowed"),
        (b'{"\\udc00": 1}', "surrogates not allowed"),
    ],
)
def test_what_is_no_json_of_ours_is_named(routes, body, told):
    for path in POSTED:
        status, answer = routes.ask(path, body)
        assert 400 <= status < 500 and told in answer["detail"], answer
        assert len(answer["detail"]) <= LONGEST


def test_a_request_that_is_too_large_is_not_waited_for(routes):
    """Refused by what it announces, and by what it sends where it announces nothing."""
    host, port = routes.place.split(":")
    head = (
        f"POST /detour/v1/classify HTTP/1.1\r\nHost: {routes.place}\r\n"
        f"Authorization: Basic {WORDS}\r\nContent-Type: {JSON}\r\n"
    )
    for length in (2**27 + 1, 10**30):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
            first = connection.recv(1000)
            assert b" 413 " in first.split(b"\r\n")[0] or b" 400 " in first.split(b"\r\n")[0]


def test_strangers_are_refused_before_their_body_is_read(routes):
    """Only the head of each request is sent, so that whoever waits for the body answers nothing."""
    host, port = routes.place.split(":")
    wrong = base64.b64encode(b"someone:else").decode()
    for words in ("", f"Authorization: Basic {wrong}\r\n"):
        for kind in (JSON, "text/plain"):
            head = (
                f"POST /detour/v1/classify HTTP/1.1\r\nHost: {routes.place}\r\n{words}"
                f"Content-Type: {kind}\r\nContent-Length: 1000\r\n\r\n"
            )
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.sendall(head.encode())
                assert b" 401 " in connection.recv(1000).split(b"\r\n")[0]


def test_searches_at_the_same_moment_are_told_to_come_back(routes):
    body = {"classifier": CLASSIFIER, "probes": "people", "size": "one_weight"}
    answers, sign = [], routes.data / "held"
    sign.touch()

    def ask():
        answers.append(routes.ask("neutralize", body))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while len(answers) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [status for status, _ in answers] == [429] * 5
    assert all("Detour is busy" in answer["detail"] for _, answer in answers)
    assert routes.ask("classify", bodies(routes)["classify"])[0] == 200  # these go on
    sign.unlink()
    for thread in threads:
        thread.join()
    assert sorted(status for status, _ in answers) == [200] + [429] * 5
    assert routes.ask("neutralize", body)[0] == 200


def test_the_users_own_links_are_read_and_no_others(routes):
    models, probes = routes.data / "models" / "image_classifiers", routes.data / "detour" / "probes"
    elsewhere = routes.data / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "blob.safetensors").write_bytes(OWN.read_bytes())
    (models / "linked.safetensors").symlink_to(elsewhere / "blob.safetensors")
    (models / "disk").symlink_to(elsewhere)
    for name in ("linked.safetensors", "disk/blob.safetensors"):
        body = {"classifier": name, "images": pictures(routes)[:1]}
        assert routes.ask("classify", body)[0] == 200
    (probes / "escape").symlink_to(routes.data / "outputs")
    body = {"classifier": CLASSIFIER, "probes": "escape"}
    status, answer = routes.ask("neutralize", body)
    assert status == 400 and "link that leads out" in answer["detail"]
