"""The server starter, against a stand-in for main.py (the real one: tests/comfyui)."""

from __future__ import annotations

import os
import signal
import socket
import sys
import urllib.error
from pathlib import Path

import pytest

from tools import server as server_module
from tools.failure import Failure
from tools.server import ComfyServer, PromptFailed, ServerDied, check_port, free_port

FAKE_MAIN = """
import argparse, json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

parser = argparse.ArgumentParser()
for name in ("--listen", "--base-directory", "--user-directory", "--database-url",
             "--preview-method"):
    parser.add_argument(name)
parser.add_argument("--port", type=int)
for name in ("--cpu", "--disable-auto-launch", "--disable-api-nodes"):
    parser.add_argument(name, action="store_true", required=True)
options = parser.parse_args()
print("first line")
BEFORE


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        nodes = os.listdir(os.path.join(options.base_directory, "custom_nodes"))
        known = {"/system_stats": {"nodes": nodes, "pid": os.getpid()}}
        self.answer(200 if self.path in known else 404, known.get(self.path))

    def do_POST(self):
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(400 if self.path == "/prompt" else 200, {"error": {"message": "no"},
                    "node_errors": {}, "got": data})


HTTPServer((options.listen, options.port), Handler).serve_forever()
"""


def fake_host(folder: Path, before: str = "") -> Path:
    """A folder with a main.py that answers like the real one, after running `before`."""
    folder.mkdir()
    (folder / "main.py").write_text(FAKE_MAIN.replace("BEFORE", before))
    return folder


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    return folder


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def test_it_starts_answers_and_leaves_nothing(tmp_path, pack, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with ComfyServer(fake_host(tmp_path / "host"), {"pack": pack}) as server:
        stats = server.get_json("/system_stats")
        assert stats["nodes"] == ["pack"]
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert "first line" in server.log.read_text()
        assert server.post_json("/echo", {"a": 1}) == (
            200,
            {"error": {"message": "no"}, "node_errors": {}, "got": {"a": 1}},
        )
        assert server.post_json("/prompt", {})[0] == 400
        with pytest.raises(urllib.error.HTTPError):
            server.get_json("/nothing")
        assert server.is_running
        pid, base = stats["pid"], server.base
    assert not server.is_running
    assert not base.exists()
    assert (pack / "__init__.py").exists()
    if sys.platform != "win32":
        assert not alive(pid)


def test_copies_where_links_are_not_allowed(tmp_path, pack, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("not allowed")

    (pack / "tests").mkdir()
    (pack / ".git").mkdir()
    monkeypatch.setattr(Path, "symlink_to", refuse)
    with ComfyServer(fake_host(tmp_path / "host"), {"pack": pack}) as server:
        copy = server.base / "custom_nodes" / "pack"
        assert not copy.is_symlink()
        assert [path.name for path in copy.iterdir()] == ["__init__.py"]


def test_a_base_of_ones_own_is_kept(tmp_path, pack):
    base = tmp_path / "base"
    host = fake_host(tmp_path / "host")
    for _ in range(2):
        with ComfyServer(host, {"pack": pack}, base=base) as server:
            (base / "output" / "picture.png").touch()
            assert server.get_json("/system_stats")["nodes"] == ["pack"]
    assert (base / "output" / "picture.png").exists()
    assert not list((base / "custom_nodes").iterdir())
    assert (pack / "__init__.py").exists()


def test_a_server_that_dies_shows_the_end_of_its_log(tmp_path):
    before = "for n in range(40): print('line', n)\nsys.exit(3)"
    server = ComfyServer(fake_host(tmp_path / "host", before))
    with pytest.raises(ServerDied, match=r"ended by itself \(exit status 3\)") as caught:
        server.__enter__()
    lines = caught.value.details.splitlines()
    assert lines[-1] == "line 39"
    assert len(lines) == 15
    assert not server.base.exists()


def test_a_server_that_hangs_is_given_up(tmp_path):
    host = fake_host(tmp_path / "host", "import time; time.sleep(60)")
    server = ComfyServer(host, timeout=1.0)
    with pytest.raises(ServerDied, match="did not answer within 1 s"):
        server.__enter__()
    assert not server.is_running


def test_a_server_that_dies_later_is_noticed(tmp_path):
    with ComfyServer(fake_host(tmp_path / "host")) as server:
        os.kill(server.get_json("/system_stats")["pid"], signal.SIGTERM)
        assert server._process is not None
        server._process.wait(timeout=20)
        with pytest.raises(ServerDied, match="exit status"):
            server.check_alive()


@pytest.mark.parametrize(
    "line",
    [
        "Cannot import {base}/custom_nodes/pack module for custom nodes: broken",
        "   0.0 seconds (IMPORT FAILED): {base}/custom_nodes/pack",
    ],
)
def test_a_pack_that_is_not_imported_is_an_error(tmp_path, pack, line):
    before = f"print('why'); print({line!r}.format(base=options.base_directory))"
    host = fake_host(tmp_path / "host", before)
    with pytest.raises(ServerDied, match="could not import the custom node pack") as caught:
        ComfyServer(host, {"pack": pack}).__enter__()
    assert "why" in caught.value.details


def test_failures_of_other_nodes_are_not_ours(tmp_path, pack):
    before = (
        "print('IMPORT FAILED: nodes_canny.py')\n"
        "print('Cannot import /x/custom_nodes/pack2 module')"
    )
    with ComfyServer(fake_host(tmp_path / "host", before), {"pack": pack}) as server:
        assert server.is_running


def test_a_pack_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(Failure, match="nothing is there"):
        ComfyServer(fake_host(tmp_path / "host"), {"pack": tmp_path / "no"}).__enter__()


def test_a_taken_port_is_refused(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Failure, match=f"Port {port} is taken"):
            ComfyServer(tmp_path, port=port).__enter__()
    for wrong in (0, -1, 65536):
        with pytest.raises(Failure, match="is not a port"):
            check_port(wrong)


def test_a_free_port_lost_meanwhile_is_replaced(tmp_path, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        ports = [other.getsockname()[1], free_port()]
        monkeypatch.setattr(server_module, "free_port", lambda: ports.pop(0))
        with ComfyServer(fake_host(tmp_path / "host")) as server:
            assert server.get_json("/system_stats")["nodes"] == []
    assert not ports


def test_a_prompt_without_a_websocket_fails_in_one_sentence(tmp_path):
    pytest.importorskip("aiohttp")
    with ComfyServer(fake_host(tmp_path / "host")) as server:
        with pytest.raises(PromptFailed, match="connection to ComfyUI failed"):
            server.run({}, timeout=20)
