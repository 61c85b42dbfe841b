"""The Content-Security-Policy that each page brings along.

It lets a page run the book's own scripts and the few lines inside it that its build put there,
known by their digests, and load pictures, styles and letters from where the page itself comes from.
Whatever else finds its way into a page, or wants out of it, is refused by the browser.
"""

from __future__ import annotations

import base64
import hashlib
import re

INLINE_SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>\n?')
HEAD = re.compile(r"<head>\n?")


def digests(html: str) -> list[str]:
    """Return the digests of the scripts inside a page, as a policy names them."""
    return sorted(
        {
            f"'sha256-{base64.b64encode(hashlib.sha256(found['text'].encode()).digest()).decode()}'"
            for found in INLINE_SCRIPT.finditer(html)
            if "src=" not in found["attributes"] and "application/json" not in found["attributes"]
        }
    )


def policy_for(html: str) -> str:
    """Return the policy of a page.

    MathJax and the figures write styles into the page, so styles may stand there. A network that
    is trained on the page runs in a worker made of a text of the bundle (``blob:``), and the one of
    digits in WebAssembly that this text puts together; no text becomes JavaScript by that
    (``wasm-unsafe-eval``). Search fetches the pages it found (``connect-src``).
    """
    rules = {
        "default-src": ["'none'"],
        "script-src": ["'self'", "'wasm-unsafe-eval'", *digests(html)],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "worker-src": ["blob:"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in rules.items())


def with_policy(html: str) -> str:
    """Return a page with its policy as the first thing in its head."""
    html = POLICY.sub("", html)
    tag = f'<meta http-equiv="Content-Security-Policy" content="{policy_for(html)}">\n'
    return HEAD.sub(lambda found: found[0] + tag, html, count=1)
