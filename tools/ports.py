"""Ports on the loopback: find a free one, refuse a taken one."""

from __future__ import annotations

import re
import socket
import sys

from .failure import Failure

LOOPBACK = "127.0.0.1"
PORT_TAKEN = re.compile(r"address already in use|Errno 98|Errno 48|WinError 10048", re.I)
"""What a server's log says when somebody else was quicker."""


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
