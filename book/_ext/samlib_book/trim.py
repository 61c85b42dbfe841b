"""What the theme loads and this book does without, and the order of what is left.

Font Awesome is half a megabyte for a dozen icons, which stand in the book's own style instead. The
index of the search is needed where one searches. And a script in a page's head holds up the page's
first lines unless it is deferred.
"""

from __future__ import annotations

import re
from pathlib import Path

FONT_AWESOME = re.compile(
    r"\s*<!-- So that users[^>]*-->\s*<script[^>]*fontawesome\.js[^>]*></script>"
)
PRELOADED = re.compile(r'<link rel="preload" as="script"[^>]*/>\s*')
# In the list of all pages, a button that holds an icon and nothing that could be read aloud.
UNFOLDS = re.compile(r'<summary>(?=<span class="toctree-toggle")')
SEARCH = re.compile(
    r'<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>\s*'
)
# What shows one of several tabs, on pages that have none.
TABS = re.compile(r'<script [^>]*src="[^"]*design-tabs\.js[^"]*"></script>\s*')
TAB = 'class="sd-tab-set'
SCRIPT = re.compile(r'<script src="(?P<path>[^"]*)"></script>')

# The column beside the text comes last. A browser that can waits for it before it paints the page,
# whose text would move aside otherwise.
HEAD = re.compile(r"<head>\n?")
COLUMN = "pst-secondary-sidebar"
EXPECT = f'<link rel="expect" href="#{COLUMN}" blocking="render">\n'

# A line inside each page's head needs this one at once.
AT_ONCE = "documentation_options.js"

# Where the theme's styles load the letters of Font Awesome.
ICON_LETTERS = re.compile(r"@font-face\{[^{}]*/fontawesome/[^{}]*\}")

UNUSED = ("_static/scripts/fontawesome*", "_static/vendor/fontawesome", "_static/**/*.map")


def trim(html: str, *, searches: bool = False) -> str:
    """Return a page without what it does not need, and with its scripts deferred.

    ``searches`` says whether the page is the one that searches.
    """
    html = PRELOADED.sub("", FONT_AWESOME.sub("", html))
    html = html if searches else SEARCH.sub("", html)
    html = html if TAB in html else TABS.sub("", html)
    if f'id="{COLUMN}"' in html and EXPECT not in html:
        html = HEAD.sub(lambda found: found[0] + EXPECT, html, count=1)
    html = UNFOLDS.sub('<summary aria-label="Its pages">', html)

    def defer(found: re.Match[str]) -> str:
        path = found["path"]
        return found[0] if AT_ONCE in path else f'<script defer src="{path}"></script>'

    return SCRIPT.sub(defer, html)


def remove_unused(site: Path) -> None:
    """Remove what the theme brings and no page asks for any more: files, and letters for icons."""
    for pattern in UNUSED:
        for path in sorted(site.glob(pattern), reverse=True):
            for file in path.rglob("*") if path.is_dir() else [path]:
                if file.is_file():
                    file.unlink()
    for path in site.glob("_static/styles/*.css"):
        style = path.read_text(encoding="utf8")
        if (without := ICON_LETTERS.sub("", style)) != style:
            path.write_text(without, encoding="utf8")
