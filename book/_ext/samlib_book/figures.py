"""Interactive figures: on Markdown pages, and the script that brings every placeholder to life.

A chapter's figure comes with its notebook's outputs. A Markdown page has no kernel, so a directive
makes the same placeholder when the book is built::

    ```{samlib-figure} Alignment
    :name: first-look
    rho: 0.1
    lr: 0.05
    ```

The name is the figure's id on the page, which its permalinks carry. The lines inside are the
widget's arguments, in YAML.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PLACEHOLDER = "data-samlib-widget"
BUNDLE = Path("samlib/widgets/static")
STATE = re.compile(r'(<script type="application/json">)(\{"_figure".*?)(</script>)')
MOST_INSIDE = 20_000  # characters
SHARED = "figures"
FIRST = 100  # before the scripts of Sphinx: a reader waits for the figures
SCRIPT = "samlib-widgets.js"
STYLE = "samlib-widgets.css"
# A figure that trains brings it when a reader comes near; no page loads it by itself.
TRAINING = "samlib-training.js"


class SamlibFigure(SphinxDirective):
    """Insert the static form of one of `samlib.widgets`' figures."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"name": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Make the figure and return its HTML; a wrong name or argument is an error of the page."""
        import samlib.widgets

        name = self.arguments[0]
        widget = getattr(samlib.widgets, name, None)
        if widget is None:
            raise self.error(f"samlib.widgets has no figure named {name!r}")
        arguments = yaml.safe_load("\n".join(self.content)) or {}
        if not isinstance(arguments, dict):
            raise self.error(f"the arguments of {name} must be lines of the form 'name: value'")
        try:
            html = widget(**arguments).to_html(id=self.options.get("name"))
        except (TypeError, ValueError) as problem:
            raise self.error(f"{name} refused its arguments: {problem}") from problem

        # The page holds the figure's state and picture, so it changes when the code that makes
        # them does.
        for source in Path(inspect.getfile(samlib.widgets)).parent.rglob("*.py"):
            self.env.note_dependency(str(source))
        return [nodes.raw("", html, format="html")]


def move_out(body: str, folder: Path, address: str) -> str:
    """Write large configurations of figures to scripts in a folder, and refer to them there.

    They come to the reader who comes near the figure, and once for all pages. ``address`` leads
    from the page to the folder.
    """

    def write(found: re.Match[str]) -> str:
        state = json.loads(found[2])
        config = in_script(state["_config"])
        if len(config) < MOST_INSIDE:
            return found[0]
        name = f"{hashlib.sha256(config.encode()).hexdigest()[:20]}.js"
        folder.mkdir(parents=True, exist_ok=True)
        script = f"document.currentScript.samlibConfig = {config};\n"
        (folder / name).write_text(script, encoding="utf8")
        return found[1] + in_script({**state, "_config": f"{address}/{name}"}) + found[3]

    return STATE.sub(write, body)


def in_script(value: object) -> str:
    """Return JSON that can stand between the tags of a script."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def add_bundle(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Load the figures' script and style once on each page that has a figure, and on no other."""
    if app.builder.name == "html" and PLACEHOLDER in context.get("body", ""):
        address = context["pathto"](f"_static/{SHARED}", 1)
        context["body"] = move_out(context["body"], Path(app.outdir, "_static", SHARED), address)
        # A classic deferred script: browsers refuse an ES module on a page opened as a file.
        app.add_js_file(SCRIPT, loading_method="defer", priority=FIRST)
        app.add_css_file(STYLE)


def find_bundle(app: Sphinx) -> None:
    """Have the bundle copied beside the pages' other static files, with the scripts it asks for."""
    module = "samlib-widgets.esm.js"  # for notebooks
    for path in sorted(BUNDLE.glob("samlib-*")):
        if path.name != module:
            app.config.html_static_path.append(str(path))


def setup(app: Sphinx) -> None:
    """Register the directive and the bundle."""
    app.add_directive("samlib-figure", SamlibFigure)
    app.connect("builder-inited", find_bundle)
    app.connect("html-page-context", add_bundle)
