"""Who may use Detour's routes: whoever the host lets in. No web framework is needed to read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

AUTH_OPTIONS = (
    ("api_auth", ""),
    ("auth", "auth_file"),
    ("gradio_auth", "gradio_auth_path"),
)
"""Command line options for names and passwords, and for a file with them: of the A1111
family's API, of SD.Next, of the A1111 family's page. The first one that is used counts."""


def credentials(options: Any) -> dict[str, str]:
    """The names and passwords that a host was started with; empty if anyone may come in.

    options: the host's `shared.cmd_opts`. Raises OSError for a file that cannot be read:
    nobody is let in then.
    """
    for direct, file in AUTH_OPTIONS:
        written = str(getattr(options, direct, None) or "")
        path = getattr(options, file, None) if file else None
        if path:
            written += "\n" + Path(path).read_text(encoding="utf-8")
        if written.strip():
            pairs = written.replace("\n", ",").split(",")
            named = (pair.strip(' "').partition(":") for pair in pairs if pair.strip(' "'))
            return {name: password for name, _, password in named}
    return {}
