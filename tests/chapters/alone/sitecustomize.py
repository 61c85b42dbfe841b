"""Imported by every Python that the tests of chapters start: none may reach beyond this machine."""

import ipaddress
import os
import socket
from typing import Any

# A slow machine would show bars where a quick one shows none.
os.environ["TQDM_DISABLE"] = "1"

_connect = socket.socket.connect


def _is_here(address: Any) -> bool:
    if not isinstance(address, tuple):  # a socket in the file system
        return True
    if address[0] == "localhost":
        return True
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return False


def _connect_here(self: socket.socket, address: Any) -> None:
    if not _is_here(address):
        raise OSError(f"a chapter asked for {address}: chapters run without a network")
    _connect(self, address)


socket.socket.connect = _connect_here  # type: ignore[method-assign, assignment]
