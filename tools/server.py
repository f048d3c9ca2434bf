"""Start a real ComfyUI, talk to it, stop it: for the tests, the demo and `dev.py serve`."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .base_folder import fill_base, remove_base, remove_placed
from .failure import Failure, tail
from .pip import clean_environment
from .ports import LOOPBACK, PORT_TAKEN, check_port, free_port
from .process import end_process, start_process
from .prompts import OnMessage, run_prompt

POLL_SECONDS, STOP_SECONDS, REQUEST_SECONDS = 0.2, 10.0, 30.0
FLAGS = (
    "--cpu --disable-auto-launch --disable-api-nodes "
    "--database-url sqlite:///:memory: --preview-method none"
).split()


class ServerDied(Failure):
    """The server ended, hung or did not load a custom node; `details` holds its log's end."""


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
        if self._kept_base is None:
            self.base = Path(tempfile.mkdtemp(prefix="detour-comfyui-")).resolve()
        else:
            self.base = self._kept_base.resolve()
        self.log = self.base / "server.log"
        try:
            fill_base(self.base, self._custom_nodes)
            self._start()
            self._check_custom_nodes()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server and clean up."""
        self.stop()

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
        environment = clean_environment()
        environment.update(PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1", PYTHONUTF8="1")
        environment.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
        environment.update(self._environment)
        with self.log.open("wb") as output:
            self._process = start_process(
                command,
                STOP_SECONDS,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.base,
                env=environment,
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
            remove_base(self.base)
            return
        for name in self._custom_nodes:
            remove_placed(self.base / "custom_nodes" / name)

    def _end_process(self) -> None:
        """Ask the process to end, wait, then kill it."""
        process, self._process = self._process, None
        if process is not None:
            end_process(process, STOP_SECONDS)

    def save_log(self, target: Path) -> None:
        """Copy the log to a place that outlives the temporary folder."""
        shutil.copyfile(self.log, target)

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
        return run_prompt(self, prompt, on_message, timeout)

    def interrupt(self) -> None:
        """Stop the prompt that runs now, if any."""
        self.post_json("/interrupt", {})

    def view(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:
        """The bytes of a picture that a prompt made."""
        query = {"filename": filename, "subfolder": subfolder, "type": type}
        return self._request("/view?" + urllib.parse.urlencode(query))
