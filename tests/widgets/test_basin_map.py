"""The figure BasinMap: its ends against chapter 12 and theory, and the figure on a page."""

from __future__ import annotations

import itertools
import math
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

import samlib
from samlib.widgets import BasinMap
from samlib.widgets.core.figure import STATIC
from samlib.widgets.figures.basin_map.formula import read_formula
from samlib.widgets.figures.basin_map.model import (
    LEFT,
    SLOPE,
    critical_points,
    ends,
    kind_of,
    places_of,
)

from .basin_map_numbers import MAPS, SIDE, away_from_borders
from .conftest import ADDRESS, Open
from .reading import (
    DRAWN,
    assert_nothing_jumps,
    assert_refused,
    fields,
    fill,
    misfits,
    pictures,
    press,
    readout,
    violations,
)

MAP = ".samlib-basin-plane .samlib-area > svg"

# Takes WebGL 2 away from a page.
WITHOUT_WEBGL = """
const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...options) {
  return kind === "webgl2" ? null : get.call(this, kind, ...options);
};"""


# ── Where runs end ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rho", [0.3, 0.9, 0.95, 1.3])
def test_the_labels_are_what_chapter_12_counts(rho: float) -> None:
    """Runs that jump across the saddle, and runs at rest on a slope, told as it tells them."""
    well, rule = samlib.landscapes.DoubleWell(), samlib.rules.SAM(0.02, rho)
    x = 4 * torch.rand(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 2
    found = ends(well, "places", rule, x, 4000, places_of("double well"))
    last = samlib.simulate(well, rule, x, 4000, every=4000, record=("x",)).x[:, -1]
    jumps = (rule.step(well, last) + last).norm(dim=1) < 1e-6
    rests = (rule.step(well, last) - last).norm(dim=1) < 1e-6
    slope = rests & (well.gradient(last).norm(dim=1) > 0.05)
    assert torch.equal(found.label == 2, jumps)
    assert torch.equal(found.label == SLOPE, slope)
    assert bool((found.label[~jumps & ~slope] == (last[~jumps & ~slope, 0] > 0)).all())


def test_on_slopes_runs_rest_where_the_climb_ends_at_the_other_minimum() -> None:
    found = BasinMap.preset("slope").ends(24)
    caught = found.label == SLOPE
    assert float(caught.double().mean()) > 0.9
    assert torch.allclose(found.where[caught, 0].abs(), torch.tensor(0.3, dtype=torch.float64))


def test_the_saddle_takes_all_from_the_radius_of_chapter_12_on() -> None:
    shares = [BasinMap(rho=rho, steps=4000).shares(side=24) for rho in (0.89, 0.91)]
    assert shares[0]["saddle (0, 0)"] < 0.7
    assert shares[1] == {"saddle (0, 0)": 1.0}


def test_gradient_descent_goes_to_the_minimum_of_its_side() -> None:
    found = BasinMap(method="gradient_descent").ends(16)
    left = torch.arange(256) % 16 < 8
    assert torch.equal(found.label, torch.where(left, 0, 1))


def test_with_a_tie_each_run_keeps_its_direction_and_without_one_it_turns() -> None:
    angle = torch.linspace(0.1, 3.0, 30, dtype=torch.float64)
    x = torch.stack([angle.cos(), angle.sin()], dim=-1)
    rule, both = samlib.rules.SAM(0.1, 0.4), torch.stack([(2 * angle).cos(), (2 * angle).sin()], -1)
    tied = ends(samlib.landscapes.Quadratic([2.0, 2.0]), "direction", rule, x, 2000, ())
    assert torch.allclose(tied.where, both)
    turned = ends(samlib.landscapes.Quadratic([2.0, 1.0]), "direction", rule, x, 2000, ())
    assert torch.allclose(turned.where[:, 0], torch.ones(30, dtype=torch.float64))
    assert bool((tied.arrival == 0).all())
    assert bool((turned.arrival > 0).all())


def test_exact_descent_aligns_above_one_half_only() -> None:
    """ηλ₁ = 0.54 and 0.4 (chapter 6)."""
    above, below = (BasinMap.preset("half", lr=lr).ends(16).where[:, 0] for lr in (0.27, 0.2))
    assert float((above > 0.999).double().mean()) > 0.95
    assert float((below > 0.999).double().mean()) < 0.2


def test_sam_drifts_to_where_the_top_eigenvalue_is_least() -> None:
    figure = BasinMap(loss="four dimensions", rho=0.2, steps=8000)
    assert float(figure.ends(8).where.norm(dim=1).max()) < 0.02
    valley = BasinMap(loss="two valleys")
    starts = valley.center[0] + valley.reach * ((torch.arange(8) + 0.5) / 4 - 1)
    assert bool((valley.ends(8).where[:, 0] < starts.repeat(8)).all())


def test_runs_that_leave_are_told_from_the_others() -> None:
    found = BasinMap(lr=0.4).ends(32)
    x = samlib.simulate(
        samlib.landscapes.DoubleWell(), samlib.rules.SAM(0.4, 0.5), grid(32), 2000, every=2000,
        record=("x",),
    ).x[:, -1]  # fmt: skip
    assert torch.equal(found.label == LEFT, ~(x.norm(dim=1) < 1e3))


def grid(side: int) -> torch.Tensor:
    """The middles of pixels of [−2, 2]²."""
    part = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 4 - 2
    return torch.cartesian_prod(part, part).flip(-1)


# ── Formulas ─────────────────────────────────────────────────────────────────────────────────────


def test_critical_points_are_himmelblaus() -> None:
    """Four minima, four saddles and a maximum, to the digits that are published."""
    found = critical_points(read_formula("(x^2 + y - 11)^2 + (x + y^2 - 7)^2"))
    assert [kind for _, kind in found] == ["minimum"] * 4 + ["saddle"] * 4 + ["maximum"]
    minima = [x for x, _ in found[:4]]
    known = [(-3.779310, -3.283186), (-2.805118, 3.131312), (3.0, 2.0), (3.584428, -1.848126)]
    assert np.allclose(minima, known, atol=2e-6)
    assert np.allclose(found[-1][0], (-0.270845, -0.923039), atol=2e-6)


def test_a_curve_of_minima_is_a_valley() -> None:
    assert kind_of("formula", "(x*y - 1)^2") == "valley"
    assert kind_of("formula", "x^2 + y^2") == "places"


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("x +* 3", r"cannot be read at character 4"),
        ("x^2 + (y", r"cannot be read at character 7"),
        ("x^2 + z", r"has “z”, which is none of x, y, numbers"),
        ("foo(x)", r"has “foo\(x\)”"),
        ("x.real", r"has “x.real”"),
        ("__import__('os')", r"has “__import__\('os'\)”"),
        ("x if y else 1", r"has “x if y else 1”"),
        ("[x for x in y]", r"has “"),
        ("sin(x, y)", r"has “sin\(x, y\)”"),
        ("True*x", r"has “True”"),
        ("", r"formula must be a text of 1 to 200 characters, got ''"),
        ("x" + " + x" * 100, r"formula must be a text of 1 to 200 characters, got 'x \+ x"),
        (3, r"formula must be a text of 1 to 200 characters, got 3"),
    ],
)
def test_wrong_formulas_are_refused_with_reasons(formula: Any, message: str) -> None:
    assert_refused(BasinMap, {"formula": formula}, message)


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"loss": "well"}, r"loss must be one of 'double well'.*got 'well'"),
        ({"method": "one_sam"}, r"method must be one of 'sam'"),
        ({"rho": -1}, r"rho must be a finite number from 0 to 10, got -1"),
        ({"lr": 0}, r"lr must be a finite number from 0.0001 to 10, got 0"),
        ({"steps": 20_001}, r"steps must be a whole number from 1 to 20000, got 20001"),
        ({"start": (1.0,)}, r"start must be 2 finite numbers.*got 1 of them"),
        ({"across": (1.0, math.nan)}, r"across must be .*got nan in it"),
        ({"reach": 0.0}, r"reach must be a finite number from 0.001 to 10, got 0"),
        ({"center": (11, 0)}, r"center must be 2 finite numbers, each from -10 to 10; got 11"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(BasinMap, traits, message)


def test_a_loss_brings_its_defaults_and_leaves_the_rule_alone() -> None:
    figure = BasinMap(method="gradient_descent")
    figure.loss = "four dimensions"
    assert (figure.method, figure.center, figure.reach) == ("gradient_descent", (0.5, 0.5), 0.75)
    with pytest.raises(ValueError, match="name must be one of saddle, slope, tie, half"):
        BasinMap.preset("other")


def test_the_sentence_and_the_still_say_the_same() -> None:
    figure = BasinMap.preset("saddle", steps=1000)
    assert "100 % at the saddle (0, 0)" in figure.sentence()
    assert figure.still().startswith(b"\x89PNG")


# ── The shader ───────────────────────────────────────────────────────────────────────────────────

# A map by the graphics card (here the processor makes it believe one): its cells as numbers.
COMPUTE = """async ([state, side]) => {
  const { read } = samlibParts.formulas;
  const card = samlibParts["basin-map"].createCard();
  const formula = state.loss === "formula" ? read(state.formula) : null;
  const map = card.begin({ ...state, formula }, side);
  const ready = async () => {
    while (!map.isReady()) await new Promise((done) => setTimeout(done, 2));
  };
  while (map.at() < state.steps) {
    map.advance(17);
    await ready();
  }
  map.conclude();
  await ready();
  const cells = map.read();
  card.dispose();
  return [...cells].map((v) => (Number.isFinite(v) ? v : null));
}"""


@pytest.fixture(scope="module")
def parts_page(browser: Browser) -> Any:
    """A page that has the bundle and both scripts of the figure."""
    page = browser.new_page()
    page.goto("about:blank")
    for name in ("widgets", "basin-map", "formulas"):
        page.add_script_tag(content=(STATIC / f"samlib-{name}.js").read_text("utf8"))
    yield page
    page.close()


@pytest.mark.parametrize("name", MAPS)
def test_the_shader_ends_where_samlib_does(parts_page: Page, name: str) -> None:
    """Single precision may end elsewhere where a hair's breadth decides: at borders of colors.

    A run comes to a place when it crosses a circle. Rounding may bring it there a few steps earlier
    or later, so that arrivals are compared to 10 %. Where a run moves on at a place, its last steps
    are chaotic: there the label says all.
    """
    figure = BasinMap(**MAPS[name])
    cells = parts_page.evaluate(COMPUTE, [figure.state(), SIDE])
    label, arrival, *where = np.array(cells, dtype=float).reshape(-1, 4).T
    found, kind = figure.ends(SIDE), kind_of(figure.loss, figure.formula)
    trusted = away_from_borders(found, kind).ravel()
    assert trusted.mean() > 0.25
    assert (label == found.label.numpy())[trusted].mean() >= 0.995
    late = np.abs(arrival - found.arrival.numpy()) > 10 + 0.1 * found.arrival.numpy()
    assert late[trusted].mean() <= 0.05
    if kind != "places":
        off = np.linalg.norm(np.stack(where, -1) - found.where.numpy(), axis=1)
        assert off[trusted].max() < 0.05


# ── On a page ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def placeholder() -> str:
    return BasinMap(steps=300).to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


def more(page: Page) -> None:
    """Open what stands under "More"."""
    page.locator("summary").click()


def share_of(page: Page, name: str) -> str:
    """The share that stands beside a place."""
    page.evaluate(DRAWN)
    return page.locator(".samlib-basin-list li", has_text=name).locator("b").inner_text()


def test_every_control_changes_the_picture_and_the_sentence(page: Page) -> None:
    def see() -> tuple[list[str], str]:
        return pictures(page), readout(page)

    more(page)
    seen = [see()]
    for change in (
        lambda: press(page, "[data-control='rho']", *["ArrowRight"] * 40),
        lambda: press(page, "[data-control='start']", "ArrowRight", "ArrowUp"),
        lambda: press(page, "[data-control='lr']", *["ArrowRight"] * 90),
        lambda: press(page, "[data-control='steps']", *["ArrowLeft"] * 40),
        lambda: fill(page, "start-1", "-0.7"),
        lambda: fill(page, "start-2", "0.2"),
        lambda: page.get_by_text("gradient descent", exact=True).click(),
        lambda: page.locator("[data-control='loss']").select_option("two valleys"),
        lambda: fill(page, "across-1", "0.9"),
        lambda: page.locator("[data-control='show-tie']").click(),
        lambda: page.locator("[data-control='show-slope']").click(),
    ):
        change()
        seen.append(see())
    for before, after in itertools.pairwise(seen):
        assert before[0] != after[0]
        assert before[1] != after[1]


def test_the_shares_are_samlibs(page: Page) -> None:
    """The page's map is finer than this one."""
    shares = BasinMap(steps=300).shares(side=64)
    for name, place in (("left minimum", "minimum (-1, 0)"), ("saddle", "saddle (0, 0)")):
        shown = float(share_of(page, name).removesuffix(" %"))
        assert shown == pytest.approx(100 * shares[place], abs=1.5)


def test_the_map_turns_to_the_color_of_the_saddle(page: Page) -> None:
    more(page)
    page.locator("[data-control='show-saddle']").click()
    assert share_of(page, "saddle") == "100 %"
    assert "100 % end at the saddle" in readout(page)


def test_the_map_zooms_by_keys_wheel_and_buttons_and_goes_back(page: Page) -> None:
    whole = pictures(page)
    ticks = ".samlib-basin-plane .samlib-axis >> nth=0"
    first = page.locator(ticks).text_content()
    handle = page.locator("[data-control='start']")
    handle.focus()
    for zoom in (
        lambda: page.keyboard.press("+"),
        lambda: page.locator("[data-control='zoom-in']").click(),
        lambda: wheel(page, -200),
    ):
        page.evaluate(DRAWN)
        before = page.locator(ticks).text_content()
        handle.focus()
        zoom()
        page.evaluate(DRAWN)
        assert page.locator(ticks).text_content() != before
    page.locator("[data-control='zoom-whole']").click()
    page.evaluate(DRAWN)
    assert page.locator(ticks).text_content() == first
    assert pictures(page) == whole


def wheel(page: Page, by: float) -> None:
    """Turn the wheel over the middle of the map."""
    box = page.locator(MAP).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, by)


def test_the_wheel_scrolls_the_page_while_nobody_works_at_the_map(page: Page) -> None:
    page.set_viewport_size({"width": 800, "height": 500})
    whole = pictures(page)
    wheel(page, 100)
    page.wait_for_function("scrollY > 0")
    assert pictures(page) == whole


def test_a_press_chooses_a_start(page: Page) -> None:
    more(page)
    page.locator(MAP).click(position={"x": 120, "y": 300})
    page.evaluate(DRAWN)
    x, y = (float(fields(page)[f"start-{i}"]) for i in (1, 2))
    assert -2 < x < -1
    assert -1 < y < 0.5
    assert f"From ({x:.3g}".replace("-", "−") in readout(page)
    assert page.evaluate("document.activeElement.dataset.control") == "start"


def test_two_fingers_zoom(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, has_touch=True)
    page.evaluate(DRAWN)
    before = page.locator(".samlib-basin-plane .samlib-axis").first.text_content()
    page.locator(MAP).evaluate(
        """(svg) => {
          svg.setPointerCapture = () => {};
          const { left, top } = svg.getBoundingClientRect();
          const send = (kind, id, x, y) => svg.dispatchEvent(new PointerEvent(kind, {
            pointerId: id, clientX: left + x, clientY: top + y, bubbles: true }));
          send("pointerdown", 1, 200, 200);
          send("pointerdown", 2, 260, 200);
          send("pointermove", 2, 330, 200);
          send("pointerup", 1, 200, 200);
          send("pointerup", 2, 330, 200);
        }"""
    )
    page.evaluate(DRAWN)
    assert page.locator(".samlib-basin-plane .samlib-axis").first.text_content() != before


def test_a_link_sets_a_preset_and_a_formula(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, fragment="#basinmap:preset=slope&steps=900")
    assert "come to rest on a slope" in readout(page)
    assert page.locator("[data-field='rho']").input_value() == "1.3"
    formula = "x^2 + y^4/2 - 0.2*x*y"
    page.evaluate(
        "(part) => { location.hash = '#basinmap:loss=formula&formula=' + part; }", quote(formula)
    )
    expect(page.locator("[data-control='formula']")).to_have_value(formula)
    page.locator("[data-control='link']").click()
    link = page.evaluate("location.hash")
    again = open_page(placeholder, fragment=link)
    expect(again.locator("[data-control='formula']")).to_have_value(formula)
    assert readout(again) == readout(page)
    page.evaluate("location.hash = '#basinmap:preset=none&rho=9999&formula='")
    expect(page.locator(".samlib-note")).to_have_text(
        "In the link, preset = “none” is unknown and was ignored; formula = “” was ignored; "
        "ρ = 9999 was moved to 10."
    )


def test_a_formula_is_read_and_what_is_wrong_with_it_is_said(page: Page) -> None:
    more(page)
    page.locator("[data-control='loss']").select_option("formula")
    expect(page.locator(".samlib-basin-list")).to_contain_text("minimum (3, 2)")
    field = page.locator("[data-control='formula']")
    field.fill("x^2 +* y")
    field.press("Enter")
    expect(page.locator(".samlib-basin-problem")).to_have_text(
        "At character 6, “* y”: value expected."
    )
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("x^2 + (y - 1)^2")
    field.press("Enter")
    expect(page.locator(".samlib-basin-problem")).to_be_empty()
    expect(page.locator(".samlib-basin-list")).to_contain_text("minimum")
    assert "it comes to the minimum" in readout(page)


def test_the_scripts_come_when_they_are_needed(open_page: Open, placeholder: str) -> None:
    page = open_page("")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url.partition("?")[0]))
    page.goto(ADDRESS)
    assert [url for url in requests if "basin" in url or "formulas" in url] == []
    page = open_page(placeholder)
    scripts = "[...document.scripts].map((script) => script.src.split('?')[0].split('/').pop())"
    page.evaluate(DRAWN)
    assert "samlib-basin-map.js" in page.evaluate(scripts)
    assert "samlib-formulas.js" not in page.evaluate(scripts)
    more(page)
    page.locator("[data-control='loss']").select_option("formula")
    page.evaluate(DRAWN)
    assert "samlib-formulas.js" in page.evaluate(scripts)


def test_without_webgl_a_worker_computes_a_coarser_map_and_says_so(
    browser: Browser, open_page: Open, placeholder: str
) -> None:
    page = open_page(placeholder, before=WITHOUT_WEBGL)
    assert "the map is coarser" in page.locator(".samlib-basin-how").inner_text()
    coarse = share_of(page, "saddle")
    fine = share_of(open_page(placeholder), "saddle")
    assert abs(float(coarse[:-2]) - float(fine[:-2])) <= 1


def test_where_neither_webgl_nor_workers_are_the_page_computes(
    open_page: Open, placeholder: str
) -> None:
    page = open_page(placeholder, before=WITHOUT_WEBGL + "delete window.Worker;")
    assert share_of(page, "saddle").endswith("%")


def test_it_is_accessible(page: Page) -> None:
    more(page)
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        assert violations(page) == []


def test_nothing_jumps(open_page: Open, placeholder: str) -> None:
    assert_nothing_jumps(open_page, placeholder)


@pytest.mark.parametrize("width", [360, 620, 1000])
def test_everything_fits(open_page: Open, placeholder: str, width: int) -> None:
    page = open_page(placeholder, width=width)
    more(page)
    assert misfits(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
