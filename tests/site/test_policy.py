"""The Content-Security-Policy of the pages: it knows their scripts and lets in no stranger."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from playwright.sync_api import Browser

from .conftest import LANDING

Part = Callable[[str], ModuleType]


def test_a_policy_knows_the_scripts_inside_a_page_by_their_digests(part: Part) -> None:
    text = "let a = 1;"
    html = (
        f'<html><head>\n<script>{text}</script><script src="a.js"></script>'
        '<script type="application/json">{}</script></head></html>'
    )
    guarded = part("policy").with_policy(html)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert re.findall(r"'sha256-[^']*'", guarded) == [f"'sha256-{digest}'"]
    assert guarded.index("Content-Security-Policy") < guarded.index("<script")
    assert part("policy").with_policy(guarded) == guarded


def test_every_page_has_a_policy_that_lets_in_no_stranger(book: Path, page_path: str) -> None:
    html = (book / page_path).read_text("utf8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == ["'none'"]
    assert "'unsafe-inline'" not in rules["script-src"]
    assert "'unsafe-eval'" not in rules["script-src"]
    allowed = {"'none'", "'self'", "'unsafe-inline'", "'wasm-unsafe-eval'", "data:", "blob:"}
    others = {source for sources in rules.values() for source in sources} - allowed
    assert all(source.startswith("'sha256-") for source in others)
    assert not re.search(r"\son[a-z]+=\"", html), "a handler inside a tag, which no policy lets run"


def test_a_script_that_the_build_did_not_write_is_refused(browser: Browser, site: str) -> None:
    page = browser.new_page()
    page.goto(f"{site}/{LANDING}")
    page.evaluate(
        """() => { const script = document.createElement("script");
        script.textContent = "window.stranger = true"; document.body.append(script); }"""
    )
    assert page.evaluate("window.stranger") is None
    page.close()
