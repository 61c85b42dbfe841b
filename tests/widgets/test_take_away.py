"""What a reader takes along from a figure: the menu, the pictures, texts, and what is said."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from samlib.widgets import Alignment, OppositeDrifts
from tests.browser import DRAWN
from tests.sharing import copied, saved, share

from .conftest import FIGURES, Open
from .reading import violations

SVG = "{http://www.w3.org/2000/svg}"
CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}
FOUR = {"landscape": "four-dimensional"}


def menu_of(page: Page) -> list[str]:
    """The names of the menu's entries."""
    found: list[str] = page.locator("[role='menuitem']").evaluate_all(
        "(all) => all.map((entry) => entry.dataset.control)"
    )
    return found


def focused(page: Page) -> str | None:
    name: str | None = page.evaluate("document.activeElement.dataset.control ?? null")
    return name


# ── The menu ─────────────────────────────────────────────────────────────────────────────────────


def test_the_menu_is_opened_and_walked_through_by_keyboard(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    menu = page.locator("[role='menu']")
    entries = menu_of(page)
    assert entries == ["link", "png", "svg", "csv", "python"]
    button = page.locator("[data-control='share']")
    assert not menu.is_visible()
    button.press("Enter")
    assert (menu.is_visible(), button.get_attribute("aria-expanded")) == (True, "true")
    walked = [focused(page)]
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "End", "ArrowDown", "ArrowUp", "Home"):
        page.keyboard.press(key)
        walked.append(focused(page))
    assert walked == ["link", "png", "svg", "png", "python", "link", "python", "link"]
    page.keyboard.press("Escape")
    assert (menu.is_visible(), focused(page)) == (False, "share")
    button.press("ArrowUp")
    assert focused(page) == "python"
    page.keyboard.press("Tab")
    assert not menu.is_visible()
    assert focused(page) not in ("python", None)
    # The keys moved nothing else.
    expect(page.locator("[data-field='rho']")).to_have_value("0.4")


def test_the_menu_closes_when_something_else_is_pressed(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    page.locator("[data-control='share']").click()
    expect(page.locator("[role='menu']")).to_be_visible()
    page.locator(".samlib-hint").click()
    expect(page.locator("[role='menu']")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 800])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_menu_fits_and_is_accessible(
    open_page: Open, quadratic: str, width: int, theme: str
) -> None:
    page = open_page(quadratic, width=width)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.locator("[data-control='share']").click()
    menu = page.locator("[role='menu']").bounding_box()
    figure = page.locator(".samlib-body").bounding_box()
    assert menu is not None
    assert figure is not None
    assert figure["x"] < menu["x"]
    assert menu["x"] + menu["width"] < figure["x"] + figure["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


def test_without_an_address_there_is_nothing_to_link_to(open_page: Open) -> None:
    page = open_page(Alignment().to_html(id=""))
    assert menu_of(page) == ["png", "svg", "csv", "python"]


# ── Pictures ─────────────────────────────────────────────────────────────────────────────────────


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def rendered(browser: Browser, path: Path) -> np.ndarray:
    """What an SVG looks like in twice its size."""
    size = ElementTree.parse(path).getroot().attrib
    page = browser.new_page(
        viewport={"width": int(size["width"]), "height": int(size["height"])}, device_scale_factor=2
    )
    page.goto(path.as_uri())
    picture = path.with_suffix(".rendered.png")
    page.screenshot(path=picture)
    page.close()
    return pixels(picture)


def missing(a: np.ndarray, b: np.ndarray) -> float:
    """The share of pixels of one picture that have none like them nearby in the other, in per cent.

    Letters are smoothed in other ways, and colours that lie over each other are rounded one by one.
    """
    assert a.shape == b.shape
    height, width = a.shape[:2]
    y, x = np.nonzero(np.abs(a - b).max(axis=2) > 60)
    worst = 0.0
    for one, other in ((a, b), (b, a)):
        near = [
            np.abs(one[y, x] - other[(y + dy) % height, (x + dx) % width]).max(axis=1)
            for dx, dy in itertools.product(range(-2, 3), repeat=2)
        ]
        worst = max(worst, float((np.min(near, axis=0) > 60).sum()))
    return 100 * worst / (width * height)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Of 255, on average over the picture."""
    assert a.shape == b.shape
    return float(np.abs(a - b).mean())


# What consists of pixels: a map that a shader draws, and digits.
IMAGES = {"BasinMap": 1, "Rescaling": 12, "TrainYourself": 46}

# Wide reliefs are rounded to the next color, and the dots of a circle in one of them are elsewhere
# on its line: the two renderers measure its length differently. A map of pixels is sampled again.
BOUNDS = {"BasinMap": (2, 0.06), "ExplicitBias": (2.5, 0.06), "ThreeNotions": (2.5, 0.06)}


@pytest.mark.parametrize("name", [*FIGURES, "Alignment on four"])
def test_both_pictures_are_the_same_and_one_has_no_pixels(
    name: str, open_page: Open, browser: Browser, tmp_path: Path
) -> None:
    kind, *four = name.split()
    figure = FIGURES[kind](**(FOUR if four else {}))
    page = open_page(figure.to_html(id="figure"), reduced_motion="reduce")
    page.evaluate(DRAWN)
    svg, png = (saved(page, kind, tmp_path) for kind in ("svg", "png"))
    tree = ElementTree.parse(svg)
    assert len(list(tree.iter(f"{SVG}image"))) == IMAGES.get(name, 0)
    drawn = sum(len(path.get("d") or "") for path in tree.iter(f"{SVG}path"))
    assert drawn > 2000 or name == "BasinMap"
    texts = [text.text or "" for text in tree.iter(f"{SVG}text")]
    written = "".join(texts).replace(" ", "")
    sentence = page.locator(".samlib-readout").first.inner_text().replace(" ", "")
    assert sentence in written
    assert "HowSAMminimizessharpness" in written
    assert "https://figures.test/#figure:" in written
    assert pixels(png).std() > 10
    alike, there = BOUNDS.get(name, (2, 0.03))
    assert difference(pixels(png), rendered(browser, svg)) < alike
    assert missing(pixels(png), rendered(browser, svg)) < there


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_is_what_is_seen(open_page: Open, tmp_path: Path, theme: str) -> None:
    """Pixel by pixel where the figure is drawn, on a screen of twice the resolution."""
    page = open_page(Alignment(**FOUR).to_html(id="figure"), device_scale_factor=2)
    # No button is taken along. What begins at whole pixels is drawn alike in both.
    page.add_style_tag(
        content=""".samlib-plot button { visibility: hidden; }
          .samlib-body, .samlib-body * { --samlib-picture: 360px !important; }"""
    )
    page.evaluate(DRAWN)
    page.evaluate(
        """() => {
          const { top } = document.querySelector(".samlib-area").getBoundingClientRect();
          document.body.style.paddingTop = `${1 - (top % 1)}px`;
        }"""
    )
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.evaluate(DRAWN)
    place = page.evaluate(
        """() => {
          const plots = [...document.querySelectorAll(".samlib-plot")]
            .map((plot) => plot.getBoundingClientRect()).filter(({ width }) => width > 0);
          const legend = document.querySelector(".samlib-legend").getBoundingClientRect();
          const area = document.querySelector(".samlib-area").getBoundingClientRect();
          return {
            x: 16 + Math.round(area.left - Math.min(...plots.map((plot) => plot.left))),
            y: 16 + Math.round(legend.height + 12) + Math.round(area.top - plots[0].top),
          };
        }"""
    )
    shot = tmp_path / "screen.png"
    page.locator(".samlib-area").first.screenshot(path=shot)
    seen = pixels(shot)
    left, top = round(2 * place["x"]), round(2 * place["y"])
    picture = pixels(saved(page, "png", tmp_path))
    # A screen begins a picture at a whole pixel, somewhere near.
    height, width = seen.shape[:2]
    off = {
        (dx, dy): difference(picture[y : y + height, x : x + width], seen)
        for dx, dy in itertools.product(range(-3, 4), repeat=2)
        for x, y in [(left + dx, top + dy)]
    }
    assert min(off.values()) < 0.4
    assert sorted(off.values())[1] > 1


def test_the_picture_is_in_twice_the_resolution_and_on_the_themes_ground(
    open_page: Open, tmp_path: Path
) -> None:
    for theme, ground in (("light", (255, 255, 255)), ("dark", (20, 24, 30))):
        page = open_page(OppositeDrifts(steps=500).to_html(id="figure"), width=360)
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        page.evaluate(DRAWN)
        width = page.locator(".samlib-stage").evaluate("(stage) => stage.offsetWidth")
        picture = pixels(saved(page, "png", tmp_path))
        assert picture.shape[1] == 2 * (width + 32)
        assert tuple(picture[0, 0]) == ground
        svg = ElementTree.parse(saved(page, "svg", tmp_path)).getroot()
        assert next(svg.iter(f"{SVG}rect")).get("fill") == "#{:02x}{:02x}{:02x}".format(*ground)


def test_a_subscript_of_a_label_is_kept(open_page: Open, quadratic: str, tmp_path: Path) -> None:
    """Above its halo, which is a text of its own."""
    page = open_page(quadratic)
    page.locator(".samlib-axis-label:visible").first.evaluate(
        """(label) => {
          const other = label.cloneNode();
          other.textContent = "λ";
          label.after(other);
          const part = document.createElementNS("http://www.w3.org/2000/svg", "tspan");
          part.setAttribute("dy", "3");
          part.textContent = "sub";
          other.append(part);
        }"""
    )
    tree = ElementTree.parse(saved(page, "svg", tmp_path))
    parts = [
        (text, part)
        for text in tree.iter(f"{SVG}text")
        for part in text
        if part.tag == f"{SVG}tspan" and part.text == "sub"
    ]
    assert [part.get("dy") for _, part in parts] == ["3", "3"]
    assert [text.get("stroke") is None for text, _ in parts] == [False, True]
    assert [part.get("stroke") is None for _, part in parts] == [False, True]


def test_what_a_shader_draws_comes_as_a_picture(
    open_page: Open, quadratic: str, browser: Browser, tmp_path: Path
) -> None:
    page = open_page(quadratic)
    # As if the first canvas had no context of two dimensions to listen to.
    page.evaluate(
        """() => {
          const { getContext } = HTMLCanvasElement.prototype;
          const first = document.querySelector("canvas");
          HTMLCanvasElement.prototype.getContext = function (...args) {
            return this === first ? null : getContext.apply(this, args);
          };
        }"""
    )
    svg, png = (saved(page, kind, tmp_path) for kind in ("svg", "png"))
    (image,) = ElementTree.parse(svg).iter(f"{SVG}image")
    assert (image.get("href") or "").startswith("data:image/png;base64,")
    assert missing(pixels(png), rendered(browser, svg)) < 0.03


def test_drawing_goes_on_as_before(open_page: Open, quadratic: str, tmp_path: Path) -> None:
    """Nothing is left of the listening, on contexts and in the names of the page."""
    page = open_page(quadratic)
    look = """() => [...document.querySelectorAll("canvas")]
      .map((canvas) => [canvas.toDataURL(), Object.getOwnPropertyNames(canvas.getContext("2d"))])"""
    before = page.evaluate(look), page.evaluate("Path2D.toString()")
    saved(page, "svg", tmp_path)
    page.evaluate(DRAWN)
    assert (page.evaluate(look), page.evaluate("Path2D.toString()")) == before


# ── Texts, and what is said ──────────────────────────────────────────────────────────────────────


def test_every_entry_says_what_has_become_of_it(
    open_page: Open, quadratic: str, tmp_path: Path
) -> None:
    page = open_page(quadratic, panels=False, **CLIPBOARD)
    note = page.locator(".samlib-note")
    saved(page, "png", tmp_path)
    expect(note).to_have_text("The picture is saved as alignment.png.")
    saved(page, "csv", tmp_path)
    expect(note).to_have_text("The table is saved as alignment.csv.")
    assert "samlib.widgets.Alignment()" in copied(page, "python")
    expect(note).to_have_text("The Python is copied.")


def test_a_text_that_cannot_be_copied_is_said_to(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    page.evaluate(
        """() => {
          navigator.clipboard.writeText = () => Promise.reject(new Error("no"));
          document.execCommand = () => false;
        }"""
    )
    share(page, "python")
    expect(page.locator(".samlib-note")).to_have_text("The Python could not be copied here.")
    # Pages without the new way have the old one.
    page.evaluate("document.execCommand = () => true")
    share(page, "python")
    expect(page.locator(".samlib-note")).to_have_text("The Python is copied.")


def test_the_code_that_embeds_names_the_page_the_state_and_the_sentence(open_page: Open) -> None:
    placeholder = Alignment().to_html(id="figure").replace(
        ' id="figure"', ' id="figure" data-embed="figures/alignment.html"', 1
    )  # fmt: skip
    page = open_page(placeholder, fragment="#figure:rho=0.2", **CLIPBOARD)
    code = copied(page, "embed")
    assert code.startswith('<iframe src="https://figures.test/figures/alignment.html#alignment:')
    assert "&amp;rho=0.2&amp;" in code
    title = re.findall(r' title="([^"]*)"', code)
    assert title == [page.locator(".samlib-readout").inner_text()]
