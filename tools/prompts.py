"""Run one prompt on a ComfyUI server and follow it over the websocket."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .failure import Failure

if TYPE_CHECKING:
    from .server import ComfyServer

OnMessage = Callable[[dict[str, Any]], None]
HISTORY_SECONDS = 10.0
"""The server says "done" a moment before the history holds the outputs."""


class PromptFailed(Failure):
    """A prompt was refused, failed, was interrupted or took too long.

    `node_id`, `node_type`, `exception_type`, `exception_message` say where and what for a
    node that failed ("" otherwise); `node_errors` is the server's answer to a prompt that
    it refused; `interrupted` tells a stop from a failure. `details`: the traceback.
    """

    def __init__(
        self,
        sentence: str,
        data: Mapping[str, Any] | None = None,
        node_errors: Mapping[str, Any] | None = None,
        interrupted: bool = False,
    ) -> None:
        data = data or {}
        super().__init__(sentence, "".join(data.get("traceback") or ()))
        self.node_id = str(data.get("node_id") or "")
        self.node_type = str(data.get("node_type") or "")
        self.exception_type = str(data.get("exception_type") or "")
        self.exception_message = str(data.get("exception_message") or "").strip()
        self.node_errors = dict(node_errors or {})
        self.interrupted = interrupted


def run_prompt(
    server: ComfyServer,
    prompt: Mapping[str, Any],
    on_message: OnMessage | None,
    timeout: float,
) -> dict[str, Any]:
    """Queue, follow, fetch the outputs; see `ComfyServer.run`."""
    try:
        prompt_id = asyncio.run(
            asyncio.wait_for(_follow(server, prompt, on_message), timeout=timeout)
        )
        return asyncio.run(_outputs(server, prompt_id))
    except asyncio.TimeoutError as error:
        server.check_alive()
        server.interrupt()
        raise PromptFailed(f"The prompt was not done after {timeout:g} s.") from error
    except OSError as error:
        server.check_alive()
        raise PromptFailed(f"The connection to ComfyUI failed ({error}).") from error


def _queue(server: ComfyServer, prompt: Mapping[str, Any], client: str) -> str:
    """POST the prompt; its id, or `PromptFailed` with what the server says is wrong."""
    status, answer = server.post_json("/prompt", {"prompt": prompt, "client_id": client})
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
    sentence = f"ComfyUI refused the prompt (status {status}): " + "; ".join([message, *reasons])
    raise PromptFailed(sentence, node_errors=node_errors)


async def _follow(
    server: ComfyServer, prompt: Mapping[str, Any], on_message: OnMessage | None
) -> str:
    """Listen first, then queue, so that no message is missed; return the prompt's id."""
    import aiohttp

    client = uuid.uuid4().hex
    address = f"{server.url}/ws?clientId={client}"
    try:
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            prompt_id = await asyncio.to_thread(_queue, server, prompt, client)
            async for message in socket:
                if message.type == aiohttp.WSMsgType.BINARY:
                    if on_message:
                        on_message({"type": "binary", "data": message.data})
                elif message.type == aiohttp.WSMsgType.TEXT:
                    parsed = json.loads(message.data)
                    if on_message:
                        on_message(parsed)
                    if _is_end(parsed, prompt_id):
                        return prompt_id
    except aiohttp.ClientError as error:
        server.check_alive()
        raise PromptFailed(f"The connection to ComfyUI failed ({error}).") from error
    await asyncio.sleep(0.5)
    server.check_alive()
    raise PromptFailed("ComfyUI closed the connection before the prompt was done.")


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
        raise PromptFailed("The prompt was interrupted.", data, interrupted=True)
    return kind == "execution_success" or (kind == "executing" and data.get("node") is None)


async def _outputs(server: ComfyServer, prompt_id: str) -> dict[str, Any]:
    """The prompt's outputs as soon as the history has them."""
    for _ in range(int(HISTORY_SECONDS / 0.05)):
        history = await asyncio.to_thread(server.get_json, f"/history/{prompt_id}")
        if prompt_id in history:
            return history[prompt_id].get("outputs") or {}
        await asyncio.sleep(0.05)
    raise PromptFailed("ComfyUI finished the prompt and kept no history of it.")
