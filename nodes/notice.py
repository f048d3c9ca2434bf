"""What a run did, told on the node that asked for it; `js/notice.js` shows it there."""

from __future__ import annotations

import sys

NOTICE_EVENT = "detour.notice"
"""Websocket message with the fields node, text and missed."""


def show_on_node(node_id: str | None, text: str, missed: bool) -> None:
    """Tell the browser that asked for a run what it did. Without a browser the log has it."""
    prompt_server = getattr(sys.modules.get("server"), "PromptServer", None)
    server = getattr(prompt_server, "instance", None)
    if node_id is not None and server is not None:
        told = {"node": node_id, "text": text, "missed": missed}
        server.send_sync(NOTICE_EVENT, told, server.client_id)
