"""Where the book is published, which only the one who publishes it knows.

Variables of the environment say so: ``BOOK_URL``, the address of the site, and
``BOOK_REPOSITORY``, that of its repository on GitHub. With the first come canonical links, a
sitemap and full addresses for previews; with the second, the buttons that lead to the source and
run a chapter elsewhere. Without them the book has none of these, and nothing else changes. A third,
``BOOK_REVISION``, names the commit or tag of the repository that notebooks install `samlib` from.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

# Where notebooks for every front end are kept: a folder of the site, a branch of the repository.
NOTEBOOKS = "notebooks"


def address_from(variable: str) -> str | None:
    """Return the web address that a variable of the environment holds, without a slash at its end.

    Raises
    ------
    ConfigError
        If it holds something else.
    """
    value = os.environ.get(variable, "").strip().rstrip("/")
    if not value:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"{variable} must be a web address, https://…, not {value!r}")
    return value


def repository() -> str | None:
    """Return the address of the repository, https://github.com/owner/name, or None if unknown.

    Raises
    ------
    ConfigError
        If ``BOOK_REPOSITORY`` holds something else.
    """
    address = address_from("BOOK_REPOSITORY")
    if address is None:
        return None
    owner_and_name = urlsplit(address).path.removesuffix(".git").strip("/")
    if urlsplit(address).netloc != "github.com" or owner_and_name.count("/") != 1:
        raise ConfigError(f"BOOK_REPOSITORY must be https://github.com/owner/name, not {address!r}")
    return f"https://github.com/{owner_and_name}"


def revision() -> str | None:
    """Return the commit or tag that the book is built from, or None if it is not said.

    Raises
    ------
    ConfigError
        If ``BOOK_REVISION`` holds what names no commit and no tag.
    """
    value = os.environ.get("BOOK_REVISION", "").strip()
    if value and not re.fullmatch(r"[\w][\w./-]*", value):
        raise ConfigError(f"BOOK_REVISION must be a commit or a tag, not {value!r}")
    return value or None


def places_to_run(repository: str, notebook: str) -> dict[str, str]:
    """Return, by name, the addresses that open a notebook of a repository ready to run."""
    name, path = urlsplit(repository).path.strip("/"), quote(notebook)
    return {
        "Colab": f"https://colab.research.google.com/github/{name}/blob/{NOTEBOOKS}/{path}",
        "Binder": f"https://mybinder.org/v2/gh/{name}/{NOTEBOOKS}?urlpath=lab/tree/{path}",
    }


def set_addresses(app: Sphinx, config: Config) -> None:
    """Hand the site's address to those who make links of it."""
    site = address_from("BOOK_URL")
    if site:
        config.html_baseurl = config.ogp_site_url = site + "/"
        config.sitemap_url_scheme = "{link}"
        config.sitemap_excludes = ["search.html"]


def add_buttons(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Replace the theme's buttons above a page by those that this book has.

    A chapter can be downloaded as a notebook. Where the repository is known, it can be run
    elsewhere, and every page leads to its source.
    """
    source = context.get("sourcename", "") if doctree is not None else ""
    buttons: list[dict[str, Any]] = []
    address = repository()
    if source.endswith(".ipynb"):
        if address:
            links = places_to_run(address, source)
            buttons.append(group("Run this chapter", "play", links))
        buttons.append(
            {
                "type": "link",
                "url": context["pathto"](f"{NOTEBOOKS}/{PurePosixPath(source).name}", 1),
                "tooltip": "Download this chapter as a notebook",
                "icon": "fas fa-download",
                "classes": "pst-navbar-icon",
            }
        )
    if address and source:
        buttons.append(
            {
                "type": "link",
                "url": f"{address}/blob/main/{quote(source)}",
                "tooltip": "The source of this page",
                "icon": "fas fa-code",
                "classes": "pst-navbar-icon",
            }
        )
    context["header_buttons"] = buttons


def group(tooltip: str, icon: str, links: dict[str, str]) -> dict[str, Any]:
    """Return a button that opens a menu of links."""
    return {
        "type": "group",
        "tooltip": tooltip,
        "icon": f"fas fa-{icon}",
        "buttons": [
            {"type": "link", "url": url, "text": name, "tooltip": f"{tooltip} on {name}"}
            for name, url in links.items()
        ],
    }


def setup(app: Sphinx) -> None:
    """Read the addresses once the configuration is there."""
    if address_from("BOOK_URL"):
        app.setup_extension("sphinx_sitemap")
    app.connect("config-inited", set_addresses, priority=100)
    app.connect("html-page-context", add_buttons, priority=800)
