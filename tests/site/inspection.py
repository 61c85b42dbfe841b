"""What one visit shows of a page, so that tests of many properties open each page only twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page, Route, expect

from tests.browser import DRAWN

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"

# Resolves when fonts are there.
SETTLED = """async () => {
  await document.fonts.ready;
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""

# What lies outside the screen. An element may, inside something that scrolls by itself.
STICKING_OUT = """() => [...document.querySelectorAll("main *")].filter((element) => {
  const box = element.getBoundingClientRect();
  if (box.width === 0 || (box.right <= innerWidth + 0.5 && box.left >= -0.5)) return false;
  if (!element.checkVisibility({ opacityProperty: true })) return false;
  for (let up = element; up; up = up.parentElement) {
    const style = getComputedStyle(up);
    if (style.overflowX !== "visible" || style.clipPath !== "none") return false;
  }
  return true;
}).map((element) => element.outerHTML.slice(0, 120))"""

# What MathJax puts where it meets a macro that it does not know.
UNSET = "mjx-merror, mjx-mtext[style*='color: red']"

HEIGHTS = "(all) => all.map((figure) => figure.getBoundingClientRect().height)"


class Inspection(NamedTuple):
    """What was found on a page in one theme at one width of the window.

    `stills` and `figures` are the heights of the figures, in pixels, before and after they come to
    life, `grounds` the colours that they are drawn on; `width` and `sticking_out` are those of the
    page in a window of 360 pixels; theme and complaints come from whoever opens the page.
    """

    heading: str
    stills: list[float]
    figures: list[float]
    grounds: list[str]
    lifeless: list[str]
    images: list[str | None]
    formulas_unset: list[str]
    violations: list[tuple[str, Any]]
    width: float
    sticking_out: list[str]
    theme: str = ""
    complaints: tuple[str, ...] | list[str] = ()


def figures_brought_to_life(page: Page, address: str) -> tuple[list[float], list[float]]:
    """Open a page without the figures' script, then give it the script; return both heights."""
    scripts: list[str] = []

    def keep_back(route: Route) -> None:
        if scripts:
            route.fallback()
        else:
            scripts.append(route.request.url)
            route.fulfill(body="", content_type="text/javascript")

    page.route("**/samlib-widgets.js*", keep_back)
    page.goto(address)
    page.evaluate(SETTLED)
    places = page.locator("[data-samlib-widget]")
    stills = places.evaluate_all(HEIGHTS)
    if not scripts:
        return stills, stills
    page.add_script_tag(url=scripts[0])
    for place in places.all():
        place.scroll_into_view_if_needed()
        expect(place.locator(".samlib-body")).to_have_count(1)
    page.evaluate(DRAWN)
    return stills, places.evaluate_all(HEIGHTS)


def inspect(page: Page, address: str) -> Inspection:
    """Return what a reader's browser shows of the page at an address."""
    stills, figures = figures_brought_to_life(page, address)
    page.evaluate(AXE.read_text("utf8"))  # not as a script of the page, whose policy refuses it
    violations = page.evaluate(
        "async () => (await axe.run({ resultTypes: ['violations'] })).violations"
    )
    grounds = """(all) => all.map((body) => getComputedStyle(body).backgroundColor)"""
    lifeless = """(all) => all.filter((figure) => figure.querySelector("figure img") ||
      !figure.querySelector("canvas")?.checkVisibility()).map((figure) => figure.id)"""
    found = {
        "grounds": page.locator("[data-samlib-widget] .samlib-body").evaluate_all(grounds),
        "heading": page.locator("main h1").first.inner_text(),
        "lifeless": page.locator("[data-samlib-widget]").evaluate_all(lifeless),
        "images": page.locator("main img").evaluate_all(
            """(all) => all.map((image) => image.getAttribute("alt"))"""
        ),
        "formulas_unset": page.locator(UNSET).all_inner_texts(),
    }
    page.set_viewport_size({"width": 360, "height": 740})
    page.evaluate(SETTLED)
    return Inspection(
        stills=stills,
        figures=figures,
        violations=[
            (found["id"], [(node["target"], node["failureSummary"]) for node in found["nodes"]])
            for found in violations
        ],
        width=page.evaluate("document.documentElement.scrollWidth"),
        sticking_out=page.evaluate(STICKING_OUT),
        **found,
    )
