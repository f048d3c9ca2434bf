"""What a run did, told to its user: on the node, and in the log."""

from __future__ import annotations

import logging
import sys
from typing import Any

log = logging.getLogger("detour")
NOTICE_EVENT = "detour.notice"
"""Websocket message with the fields node, text and missed."""


class Teller:
    """Tells for one node what the runs of its model did.

    A detailer or a tiled upscaler samples many times in one prompt: the log warns of the first
    run in vain and is silent about the others. The page counts them by itself (js/notice.js).
    """

    def __init__(self, node_id: str | None) -> None:
        self.node_id = node_id
        self.warned_of: str | None = None

    def tell(self, text: str, missed: bool) -> None:
        """Say what a run did; missed: that it was nothing."""
        server = _server()
        prompt = getattr(server, "last_prompt_id", None)
        level = logging.INFO
        if missed:
            again = prompt is not None and prompt == self.warned_of
            level, self.warned_of = logging.DEBUG if again else logging.WARNING, prompt
        log.log(level, "Detour: %s", text)
        if self.node_id is not None and server is not None:
            told = {"node": self.node_id, "text": text, "missed": missed}
            server.send_sync(NOTICE_EVENT, told, server.client_id)


def _server() -> Any:
    """The host's server; None in a script, which samples in its own process."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
