"""The figure Alignment on a page: its links, and its looks."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from samlib.widgets import Alignment
from tests.sharing import share

from .conftest import ADDRESS, Open
from .panels import open_panels
from .reading import DRAWN, fields, fill, has_colour, misfits, pictures, press, readout, violations


@pytest.fixture
def page(open_page: Open, landscape: str, request: pytest.FixtureRequest) -> Page:
    return open_page(request.getfixturevalue(landscape.replace("-", "_")))


# ── Links ────────────────────────────────────────────────────────────────────────────────────────


def test_a_link_brings_back_every_part_of_the_state(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic, permissions=["clipboard-read", "clipboard-write"])
    for name, value in {
        "rho": "0.123",
        "lr": "0.21",
        "eigenvalue-1": "2.5",
        "eigenvalue-2": "3.75",
        "steps": "321",
        "start-1": "-0.7",
        "start-2": "0.45",
    }.items():
        fill(page, name, value)
    fill(page, "dimension", "3")
    fill(page, "eigenvalue-3", "0.8")
    page.locator("[data-control='invariant']").check()
    press(page, "[data-control='frame']", "Home", *["ArrowRight"] * 17)
    share(page, "link")
    expect(page.locator(".samlib-note")).to_contain_text("copied")
    link = page.url
    assert page.evaluate("navigator.clipboard.readText()").endswith(link.removeprefix(ADDRESS))
    again = open_page(quadratic, fragment=link.removeprefix(ADDRESS))
    assert fields(again) == fields(page)
    assert readout(again) == readout(page)
    assert readout(again).startswith("Step 17: ")
    assert pictures(again) == pictures(page)


def test_a_link_leads_to_the_other_loss_too(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    page.get_by_role("radio", name="Four-dimensional loss").check(force=True)
    open_panels(page)
    fill(page, "start-1", "0.9")
    fill(page, "rho", "0.08")
    page.locator("[data-control='zoom']").click()
    press(page, "[data-control='frame']", "End")
    share(page, "link")
    again = open_page(quadratic, fragment=page.url.removeprefix(ADDRESS))
    assert fields(again) == fields(page)
    assert readout(again) == readout(page)
    assert pictures(again) == pictures(page)


def test_a_link_to_one_figure_leaves_the_other_alone(open_page: Open, quadratic: str) -> None:
    other = Alignment(rho=0.2).to_html(id="other")
    page = open_page(quadratic, other, fragment="#other:rho=0.9")
    values = page.locator("[data-field='rho']").evaluate_all("(all) => all.map((f) => f.value)")
    assert values == ["0.4", "0.9"]


def test_a_changed_fragment_is_followed(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    page.evaluate("location.hash = '#figure:rho=0.9'")
    expect(page.locator("[data-field='rho']")).to_have_value("0.9")


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("rho=abc", "ρ = “abc” is not a number and was ignored"),
        ("rho=1e99", "ρ = 1e99 was moved to 1000"),
        ("rho=-4", "ρ = -4 was moved to 0"),
        ("lr=0", "η = 0 was moved to 0.000001"),
        ("steps=1e7", "steps = 1e7 was moved to 200000"),
        ("frame=101", "step = 101 was moved to 100"),
        ("start=1,2,3", "start has 3 numbers, not 2, and was ignored"),
        ("start=1,x", "start = “x” is not a number and was ignored"),
        ("eigenvalues=1", "λ has 1 number, not 2 to 10, and was ignored"),
        ("landscape=cubic", "landscape = “cubic” is unknown and was ignored"),
    ],
)
def test_a_bad_link_is_put_right_and_says_so(
    open_page: Open, quadratic: str, fragment: str, message: str
) -> None:
    page = open_page(quadratic, fragment=f"#figure:{fragment}")
    expect(page.locator(".samlib-note")).to_contain_text(message)
    assert readout(page).startswith("Step ")


def test_a_link_with_nonsense_shows_the_figure(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic, fragment="#figure:%E0%A4%A=&&=;<script>")
    assert fields(page)["rho"] == "0.4"


# ── Looks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [360, 400, 620, 800, 1200])
def test_it_fits_any_width(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert misfits(page) == []


@pytest.mark.parametrize("width", [360, 620])
def test_ten_dimensions_fit(open_page: Open, ten: str, width: int) -> None:
    page = open_page(ten, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    edge = page.locator(".samlib-alignment").bounding_box()
    assert edge is not None
    for i in range(1, 11):
        box = page.locator(f"[data-control='eigenvalue-{i}'] .samlib-ring").bounding_box()
        assert box is not None
        assert edge["x"] < box["x"] < edge["x"] + edge["width"] - box["width"]
        # The fields that have no room are scrolled to.
        page.locator(f"[data-field='start-{i}']").scroll_into_view_if_needed()
        field = page.locator(f"[data-field='start-{i}']").bounding_box()
        assert field is not None
        assert edge["x"] < field["x"] < edge["x"] + edge["width"] - field["width"]


@pytest.mark.parametrize("width", [360, 620, 760, 1000])
@pytest.mark.parametrize("landscape", ["quadratic", "ten", "four_dimensional"])
def test_nothing_jumps_when_the_figure_takes_the_stills_place(
    open_page: Open, landscape: str, width: int, request: pytest.FixtureRequest
) -> None:
    figure = request.getfixturevalue(landscape)
    heights = []
    for scripts in (False, True):
        page = open_page(figure, width=width, scripts=scripts, panels=False)
        page.evaluate(DRAWN)
        heights.append(page.locator("[data-samlib-widget]").evaluate("(e) => e.offsetHeight"))
    assert abs(heights[0] - heights[1]) <= 24


def test_dark_is_dark_at_once(page: Page) -> None:
    light = pictures(page)
    assert has_colour(page, 0, 0, 0)  # the top eigenvector
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    expect(page.locator(".samlib-alignment")).to_have_css("background-color", "rgb(20, 24, 30)")
    assert pictures(page) != light
    assert has_colour(page, 0xF0, 0xE4, 0x42)


def test_a_page_without_scripts_keeps_still_and_sentence(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic, scripts=False)
    still = page.locator("figure img")
    assert still.is_visible()
    assert still.evaluate("(image) => image.complete && image.naturalWidth > 500")
    assert "ηρλ₁/(2 − ηλ₁) = 0.327 is predicted" in page.locator("figcaption").inner_text()


def test_ten_dimensions_are_accessible(open_page: Open, ten: str) -> None:
    test_it_is_accessible(open_page(ten, width=360), "light")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(page: Page, theme: str) -> None:
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.evaluate(DRAWN)
    assert violations(page) == []


@pytest.mark.parametrize("ratio", [1, 1.5, 2, 3])
def test_the_picture_fills_its_axes_at_every_pixel_density(
    open_page: Open, quadratic: str, ratio: float
) -> None:
    """The colours of the loss reach the far corner of the plane, and no farther."""
    page = open_page(quadratic, device_scale_factor=ratio)
    inside, outside = page.locator(".samlib-plot canvas").first.evaluate(
        """(canvas) => {
          const axes = canvas.parentElement.querySelectorAll(".samlib-axis .domain");
          const [x, y] = [...axes].map((axis) => axis.getBoundingClientRect());
          const frame = canvas.getBoundingClientRect();
          const scale = canvas.width / frame.width;
          const opacity = (shift) => canvas.getContext("2d").getImageData(
            Math.round((x.right - frame.left + shift) * scale),
            Math.round((y.top - frame.top + 20) * scale), 1, 1).data[3];
          return [opacity(-6), opacity(4)];
        }"""
    )
    assert inside > 0
    assert outside == 0
