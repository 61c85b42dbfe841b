"""Pages with figures for the tests, served from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from samlib import widgets
from samlib.widgets import Alignment, Explore, explore
from samlib.widgets.core.figure import STATIC, Figure

from .exploring import PATIENCE, RADII, Gate, Problem
from .panels import open_panels

ADDRESS = "https://figures.test/"  # https, because only there may a page copy
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Figures</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="/samlib-widgets.css">
<script defer src="/samlib-widgets.js"></script></head><body>{}</body></html>"""

Open = Callable[..., Page]

SPECTRUM = (3.0, 1.0, 0.75, 0.563, 0.422, 0.316, 0.237, 0.178, 0.133, 0.1)

# Every figure that a page without a kernel can compute.
FIGURES: dict[str, type[Figure]] = {
    name: getattr(widgets, name) for name in widgets.__all__ if name.lower() != "explore"
}


def serve(route: Route, html: str, scripts: bool, problems: list[str]) -> None:
    """Answer a request from memory; one for anything else is a problem."""
    name = route.request.url.removeprefix(ADDRESS).partition("?")[0]
    if name == "":
        route.fulfill(body=html, content_type="text/html; charset=utf-8")
    elif name == "samlib-widgets.js" and not scripts:
        route.fulfill(body="", content_type="text/javascript")
    elif (STATIC / name).is_file():
        route.fulfill(path=STATIC / name)
    else:
        problems.append(f"request for {route.request.url}")
        route.abort()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a page with figures; it fails the test if it logs an error or asks for another host.

    All that a figure has is opened, so that all of it is tested, unless ``panels`` is false.
    """
    contexts = []
    problems: list[str] = []

    def open_page(
        *figures: str,
        fragment: str = "",
        width: int = 800,
        scripts: bool = True,
        panels: bool = True,
        **options: Any,
    ) -> Page:
        options.setdefault("viewport", {"width": width, "height": 900})
        before: str = options.pop("before", "")  # a script that runs before those of the page
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(before)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda message: problems.append(message.text) if message.type == "error" else None,
        )
        html = PAGE.format("<p>Text.</p>".join(figures))
        page.route("**/*", lambda route: serve(route, html, scripts, problems))
        page.goto(ADDRESS + fragment)
        if scripts and figures:
            page.wait_for_function(
                """[...document.querySelectorAll("[data-samlib-widget]")]
                  .every((figure) => figure.querySelector(".samlib-readout")?.textContent)"""
            )
            if panels:
                open_panels(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(params=["quadratic", "four-dimensional"])
def landscape(request: pytest.FixtureRequest) -> str:
    """Each loss of the figure Alignment."""
    return str(request.param)


@pytest.fixture(scope="session")
def ten() -> str:
    """Alignment's placeholder in ten dimensions, with the invariant set, with an id."""
    return Alignment(eigenvalues=SPECTRUM, invariant=True, frame=12).to_html(id="figure")


@pytest.fixture(scope="session")
def quadratic() -> str:
    """The figure's placeholder for the quadratic, with an id."""
    return Alignment().to_html(id="figure")


@pytest.fixture(scope="session")
def four_dimensional() -> str:
    """The figure's placeholder for the four-dimensional loss, with an id."""
    return Alignment(landscape="four-dimensional").to_html(id="figure")


@pytest.fixture(scope="module")
def bundle_page(browser: Browser) -> Iterator[Page]:
    """A page that can import the committed bundle."""
    page = browser.new_page()
    page.route("**/*", lambda route: route.fulfill(body="<title>bundle</title>"))
    bundle = STATIC / "samlib-widgets.esm.js"
    page.route(
        "**/samlib-widgets.esm.js",
        lambda route: route.fulfill(path=bundle, content_type="text/javascript"),
    )
    page.goto("http://figures.test/")
    yield page
    page.close()


# ── For the figure Explore ────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def problem() -> Problem:
    """A small trained network."""
    return Problem()


@pytest.fixture(scope="session")
def measured(problem: Problem) -> Iterator[Explore]:
    """The figure after it has measured at all RADII."""
    figure = problem.explore(rho=RADII[0], k=4, seed=5)
    figure.sweep(RADII)
    yield figure.wait(PATIENCE)
    figure.close()


@pytest.fixture
def gated(problem: Problem) -> Iterator[tuple[Explore, Gate]]:
    """A figure that has measured at 0.05, and the gate in its loss."""
    gate = Gate()
    figure = explore(problem.model, gate, (problem.inputs, problem.targets))
    figure.wait(PATIENCE)
    yield figure, gate
    gate.open.set()
    figure.close()
