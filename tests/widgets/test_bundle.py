"""The committed bundle is that of the committed source, and the source type-checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from samlib.widgets import schema
from samlib.widgets.core.figure import STATIC

from .nodejs import ROOT, run


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """The packages that the bundles are made of."""
    if not (ROOT / "node_modules").is_dir():
        pytest.fail("node_modules is missing: run `npm ci` (`make test` does)")


def test_the_page_has_pythons_traits_and_constants() -> None:
    assert schema.PATH.read_text("utf8") == schema.written(), "run `make widgets`"


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
    assert len(script.encode()) + len(style.encode()) <= 250_000
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
    script = (tmp_path / "typeset.cjs").read_text("utf8")
    assert script == (ROOT / "book/_mathjax/typeset.cjs").read_text("utf8"), "run `make widgets`"
    places = script.replace("http://www.w3.org/", "")
    assert "http://" not in places
    assert "https://" not in places
    assert str(ROOT) not in places


def test_the_source_type_checks() -> None:
    run("node_modules/typescript/bin/tsc", "--project", "tsconfig.json")


def test_the_lock_file_names_no_registry() -> None:
    lock = (ROOT / "package-lock.json").read_text("utf8")
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
    assert "://" not in lock
