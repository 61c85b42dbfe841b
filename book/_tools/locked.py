"""Run a command while no other one holds the same lock: locked.py LOCK COMMAND [ARGUMENT …].

Two builds at the same time would write into each other's pages; the second one waits for the first.
The lock goes with the process that holds it, however that ends.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path


def main(lock: str, *command: str) -> int:
    """Wait for the lock, run the command, return its exit code."""
    Path(lock).parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w", encoding="utf8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another build is at work; waiting for it ({lock})", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: locked.py LOCK COMMAND [ARGUMENT …]")
    sys.exit(main(*sys.argv[1:]))
