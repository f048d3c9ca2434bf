"""Start a real ComfyUI, talk to it, stop it: for the tests, the demo and `dev.py serve`."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .failure import Failure, tail
from .process import clean_environment, end_process, start_process

LOOPBACK = "127.0.0.1"
PORT_TAKEN = re.compile(r"address already in use|Errno 98|Errno 48|WinError 10048", re.I)
"""What a server's log says when somebody else was quicker."""
FOLDERS = ("custom_nodes", "models", "input", "output", "temp", "user")
"""What ComfyUI expects in the folder that it works in."""
NOT_COPIED = shutil.ignore_patterns(
    ".git", "tests", "__pycache__", "*.pyc", ".*_cache", ".hypothesis", ".venv", "node_modules"
)
POLL_SECONDS, STOP_SECONDS, REQUEST_SECONDS, HISTORY_SECONDS = 0.2, 10.0, 30.0, 10.0
FLAGS = (
    "--cpu --disable-auto-launch --disable-api-nodes "
    "--database-url sqlite:///:memory: --preview-method none"
).split()
QUIET = dict.fromkeys(
    "PYTHONUNBUFFERED PYTHONUTF8 HF_HUB_DISABLE_TELEMETRY DO_NOT_TRACK".split(), "1"
)
OnMessage = Callable[[dict[str, Any]], None]


class ServerDied(Failure):
    """The server ended, hung or did not load a custom node; `details` holds its log's end."""


class PromptFailed(Failure):
    """A prompt was refused, failed, was interrupted or took too long.

    `node_id` and `exception_message` say where and what for a node that failed ("" otherwise);
    `node_errors` is the server's answer to a prompt that it refused. `details`: the traceback.
    """

    def __init__(
        self,
        sentence: str,
        data: Mapping[str, Any] | None = None,
        node_errors: Mapping[str, Any] | None = None,
    ) -> None:
        data = data or {}
        super().__init__(sentence, "".join(data.get("traceback") or ()))
        self.node_id = str(data.get("node_id") or "")
        self.exception_message = str(data.get("exception_message") or "").strip()
        self.node_errors = dict(node_errors or {})


def free_port() -> int:
    """A port on the loopback that is free at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def check_port(port: int) -> None:
    """A `Failure` when somebody else listens on this port, or it is no port at all."""
    if not 0 < port < 65536:
        raise Failure(f"{port} is not a port; ports are 1 to 65535.")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise Failure(
                f"Port {port} is taken or not allowed; choose another one with --port."
            ) from error


def place(source: Path, target: Path) -> None:
    """Link `target` to `source`, or copy it; what an earlier run left there is replaced."""
    remove_placed(target)
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except (OSError, NotImplementedError):
        if source.is_dir():
            shutil.copytree(source, target, ignore=NOT_COPIED)
        else:
            shutil.copy2(source, target)


def remove_placed(target: Path) -> None:
    """Take a link or a copy away again; what a link points to is never touched."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)


class ComfyServer:
    """A ComfyUI process on the loopback, as a context manager.

    `host` is the ComfyUI folder, `python` the interpreter with its packages (this one if
    not given), `custom_nodes` maps a folder name to the pack that is to appear under it.
    Without `base` the server works in a temporary folder that is removed at the end;
    with one it works there and only the custom nodes are taken out again. `arguments` are
    further flags of main.py.

    Inside `with`: `url`, `port`, `base`, `log` (Path). Only the process started here is ever
    stopped, with all that it started, and it ends when this process does, however that ends.
    """

    def __init__(
        self,
        host: Path,
        custom_nodes: Mapping[str, Path] | None = None,
        *,
        python: Path | None = None,
        port: int | None = None,
        base: Path | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        timeout: float = 180.0,
    ) -> None:
        self.host = Path(host)
        self.python = Path(python or sys.executable)
        self.timeout = timeout
        self.port = 0
        self._wanted_port = port
        self._kept_base = base
        self._custom_nodes = dict(custom_nodes or {})
        self._arguments = list(arguments)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address to open, without a slash at its end."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether it was started and neither stopped nor ended by itself."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> ComfyServer:
        """Start the server and wait until it answers; `ServerDied` when it does not."""
        if self._wanted_port is not None:
            check_port(self._wanted_port)
        made = self._kept_base or Path(tempfile.mkdtemp(prefix="detour-comfyui-"))
        self.base = made.resolve()
        self.log = self.base / "server.log"
        try:
            self._fill_base()
            self._start()
            self._check_custom_nodes()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server and clean up."""
        self.stop()

    def _fill_base(self) -> None:
        """Make the folders that ComfyUI expects and put the custom nodes in place.

        Each is a link where links are possible and a copy otherwise. Raises `Failure` for a
        custom node that is not there.
        """
        for name in FOLDERS:
            (self.base / name).mkdir(parents=True, exist_ok=True)
        for name, source in self._custom_nodes.items():
            if not source.exists():
                raise Failure(
                    f"The custom node {name} should be in {source}, and nothing is there."
                )
            place(source.resolve(), self.base / "custom_nodes" / name)

    def _start(self) -> None:
        """Launch; once more on another port when somebody took the free one meanwhile."""
        for last_try in (False, True):
            self.port = self._wanted_port or free_port()
            self._launch()
            try:
                self._wait_until_ready()
                return
            except ServerDied as error:
                if last_try or self._wanted_port or not PORT_TAKEN.search(error.details):
                    raise
                self._end_process()

    def _launch(self) -> None:
        """Start main.py in its own folder, with everything it prints in the log."""
        command = [str(self.python), str(self.host / "main.py"), "--listen", LOOPBACK]
        command += ["--port", str(self.port), "--base-directory", str(self.base)]
        command += ["--user-directory", str(self.base / "user"), *FLAGS, *self._arguments]
        environment = clean_environment() | QUIET | self._environment
        with self.log.open("wb") as output:
            told = {"stdout": output, "stderr": subprocess.STDOUT}
            ours = self.base if self._kept_base is None else None
            self._process = start_process(
                command, STOP_SECONDS, ours, cwd=self.base, env=environment, **told
            )

    def _wait_until_ready(self) -> None:
        """Poll until the server answers; `ServerDied` if it ends or takes too long."""
        deadline = time.monotonic() + self.timeout
        while True:
            self.check_alive()
            try:
                self.get_json("/system_stats")
                self.check_alive()
                return
            except (OSError, ValueError, http.client.HTTPException):
                pass
            if time.monotonic() > deadline:
                raise ServerDied(
                    f"ComfyUI did not answer within {self.timeout:.0f} s.", tail(self.log)
                )
            time.sleep(POLL_SECONDS)

    def check_alive(self) -> None:
        """A `ServerDied` with the end of the log when the process has ended."""
        code = self._process.poll() if self._process else None
        if self._process is None or code is not None:
            raise ServerDied(f"ComfyUI ended by itself (exit status {code}).", tail(self.log))

    def _check_custom_nodes(self) -> None:
        """A `ServerDied` when the log says that one of our custom nodes was not imported."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        for name in self._custom_nodes:
            place = re.compile(rf"custom_nodes[\\/]{re.escape(name)}(?:\.py)?(?![\w.-])")
            for number, line in enumerate(lines):
                failed = "IMPORT FAILED" in line or "Cannot import" in line
                if failed and place.search(line):
                    details = "\n".join(lines[max(0, number - 14) : number + 1])
                    raise ServerDied(f"ComfyUI could not import the custom node {name}.", details)

    def stop(self) -> None:
        """End our own process and remove what was put in place; safe to call twice."""
        self._end_process()
        if self._kept_base is None:
            shutil.rmtree(self.base, ignore_errors=True)  # links are removed, not followed
            return
        for name in self._custom_nodes:
            remove_placed(self.base / "custom_nodes" / name)

    def _end_process(self) -> None:
        """Ask the process to end, wait, then kill it."""
        process, self._process = self._process, None
        if process is not None:
            end_process(process, STOP_SECONDS)

    def get_json(self, path: str) -> Any:
        """GET a path and parse what comes back; urllib's errors (all OSError) pass through."""
        return json.loads(self._request(path))

    def post_json(self, path: str, obj: Any) -> tuple[int, Any]:
        """POST an object; return the HTTP status, errors included, and the parsed answer."""
        try:
            status, text = 200, self._request(path, json.dumps(obj).encode())
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode("utf-8", "replace") or None

    def _request(self, path: str, body: bytes | None = None) -> bytes:
        """One request to our own server, past any proxy the environment names."""
        if not path.startswith("/"):
            raise ValueError(f"a path begins with a slash: {path}")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=REQUEST_SECONDS) as answer:
            return answer.read()

    def interrupt(self) -> None:
        """Stop the prompt that runs now, if any."""
        self.post_json("/interrupt", {})

    def view(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:
        """The bytes of a picture that a prompt made."""
        query = {"filename": filename, "subfolder": subfolder, "type": type}
        return self._request("/view?" + urllib.parse.urlencode(query))

    def run(
        self,
        prompt: Mapping[str, Any],
        on_message: OnMessage | None = None,
        timeout: float = 600.0,
    ) -> dict[str, Any]:
        """Queue a prompt, wait for its end, return `outputs` of its history by node id.

        `on_message` sees every websocket message as it comes; a binary one (a preview) as
        `{"type": "binary", "data": bytes}`. Raises `PromptFailed` for a prompt that was
        refused, failed, was interrupted or took longer than `timeout` seconds, and
        `ServerDied` when the server ended meanwhile.
        """
        follow = self._follow(prompt, on_message or (lambda _: None))
        try:
            return self._outputs(asyncio.run(asyncio.wait_for(follow, timeout)))
        except asyncio.TimeoutError as error:
            self.check_alive()
            self.interrupt()
            raise PromptFailed(f"The prompt was not done after {timeout:g} s.") from error
        except OSError as error:
            self.check_alive()
            raise PromptFailed(f"The connection to ComfyUI failed ({error}).") from error

    async def _follow(self, prompt: Mapping[str, Any], on_message: OnMessage) -> str:
        """Listen first, then queue, so that no message is missed; return the prompt's id."""
        import aiohttp

        client = uuid.uuid4().hex
        address = f"{self.url}/ws?clientId={client}"
        try:
            async with (
                aiohttp.ClientSession(trust_env=False) as session,
                session.ws_connect(address, max_msg_size=0) as socket,
            ):
                prompt_id = await asyncio.to_thread(self._queue, prompt, client)
                async for message in socket:
                    if message.type == aiohttp.WSMsgType.BINARY:
                        on_message({"type": "binary", "data": message.data})
                    elif message.type == aiohttp.WSMsgType.TEXT:
                        parsed = json.loads(message.data)
                        on_message(parsed)
                        if _is_end(parsed, prompt_id):
                            return prompt_id
        except aiohttp.ClientError as error:
            self.check_alive()
            raise PromptFailed(f"The connection to ComfyUI failed ({error}).") from error
        await asyncio.sleep(0.5)
        self.check_alive()
        raise PromptFailed("ComfyUI closed the connection before the prompt was done.")

    def _queue(self, prompt: Mapping[str, Any], client: str) -> str:
        """POST the prompt; its id, or `PromptFailed` with what the server says is wrong."""
        status, answer = self.post_json("/prompt", {"prompt": prompt, "client_id": client})
        if status == 200 and isinstance(answer, dict) and not answer.get("node_errors"):
            return str(answer["prompt_id"])
        if not isinstance(answer, dict):
            raise PromptFailed(f"ComfyUI refused the prompt (status {status}): {answer}")
        error = answer.get("error") or {}
        message = error.get("message", "") if isinstance(error, dict) else str(error)
        node_errors = answer.get("node_errors") or {}
        reasons = [
            f"node {node} ({entry.get('class_type', '?')}): {item.get('message', '')}"
            + (f" ({item['details']})" if item.get("details") else "")
            for node, entry in node_errors.items()
            for item in entry.get("errors", [])
        ]
        sentence = f"ComfyUI refused the prompt (status {status}): " + "; ".join(
            [message, *reasons]
        )
        raise PromptFailed(sentence, node_errors=node_errors)

    def _outputs(self, prompt_id: str) -> dict[str, Any]:
        """The prompt's outputs; the server says "done" a moment before its history has them."""
        deadline = time.monotonic() + HISTORY_SECONDS
        while time.monotonic() < deadline:
            history = self.get_json(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id].get("outputs") or {}
            time.sleep(0.05)
        raise PromptFailed("ComfyUI finished the prompt and kept no history of it.")


def _is_end(message: Mapping[str, Any], prompt_id: str) -> bool:
    """Whether this message ends our prompt well; `PromptFailed` when it ends it badly."""
    kind, data = message.get("type"), message.get("data") or {}
    if not isinstance(data, dict) or data.get("prompt_id") != prompt_id:
        return False
    if kind == "execution_error":
        raise PromptFailed(
            f"Node {data.get('node_id')} ({data.get('node_type')}) failed: "
            f"{data.get('exception_type')}: {str(data.get('exception_message')).strip()}",
            data,
        )
    if kind == "execution_interrupted":
        raise PromptFailed("The prompt was interrupted.", data)
    return kind == "execution_success" or (kind == "executing" and data.get("node") is None)
