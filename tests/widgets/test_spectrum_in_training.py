"""The figure SpectrumInTraining: its data, its page, and that both have the same numbers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from samlib.widgets import SpectrumInTraining
from samlib.widgets.figures.spectrum_in_training.model import (
    RHOS,
    STEPS,
    read_sweep,
)
from tests.sharing import share

from .conftest import ADDRESS, Open
from .reading import (
    DRAWN,
    assert_accessible,
    assert_nothing_jumps,
    assert_refused,
    fields,
    fill,
    misfits,
    pictures,
    press,
    readout,
)


@pytest.fixture(scope="module")
def placeholder() -> str:
    """The figure's placeholder."""
    return SpectrumInTraining().to_html(id="figure")


@pytest.fixture
def page(open_page: Open, placeholder: str) -> Page:
    return open_page(placeholder)


# ── Page and Python ──────────────────────────────────────────────────────────────────────────────


def numbers_of(sentence: str) -> list[float]:
    """All numbers of a sentence, without the separators of thousands."""
    return [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*\.?\d*", sentence)]


@pytest.mark.parametrize("traits", [{}, {"rho": 0, "step": 1500}, {"rho": 0.5, "step": 0}])
def test_the_page_says_what_python_says(open_page: Open, traits: dict[str, Any]) -> None:
    figure = SpectrumInTraining(**traits)
    said = readout(open_page(figure.to_html()))
    assert numbers_of(said) == numbers_of(figure.sentence())
    assert re.sub(r"[\d,.]+", "#", said) == re.sub(r"[\d,.]+", "#", figure.sentence())
    assert ("SGD" in said) == (figure.rho == 0)


# ── The page ─────────────────────────────────────────────────────────────────────────────────────


def test_the_slider_of_rho_stops_at_what_was_computed(page: Page) -> None:
    seen = []
    press(page, "[data-control='rho']", "Home")
    for _ in RHOS:
        seen.append((float(fields(page)["rho"]), readout(page), *pictures(page)))
        press(page, "[data-control='rho']", "ArrowRight")
    assert [each[0] for each in seen] == list(RHOS)
    assert len({each[1] for each in seen}) == len(RHOS)
    # Of the eight pictures the sweeps over ρ differ in the line at ρ alone, all others in all.
    assert all(len(set(column)) == len(RHOS) for column in zip(*(e[2:] for e in seen), strict=True))


def test_fields_snap_to_what_was_computed(page: Page) -> None:
    for name, typed, shown in (("rho", "0.09", "0.1"), ("rho", "0.11", "0.1"),
                               ("step", "2000", "1984"), ("step", "3", "4")):  # fmt: skip
        before = readout(page)
        fill(page, name, typed)
        assert fields(page)[name] == shown
        assert (readout(page) != before) == (typed != "0.11")
    fill(page, "rho", "0.7")
    assert page.locator("[data-field='rho']").get_attribute("aria-invalid") == "true"
    page.locator("[data-field='rho']").blur()
    assert fields(page)["rho"] == "0.1"


def test_playing_stepping_and_scrubbing(page: Page) -> None:
    play = page.locator("[data-control='play']")
    press(page, "[data-control='frame']", "Home")
    assert readout(page).startswith("At step 0 with ρ = 0.2: ")
    page.get_by_role("button", name="One step forward").click()
    assert readout(page).startswith("At step 4 with ")
    before = pictures(page)
    play.click()
    page.wait_for_timeout(1000)
    play.click()
    expect(play).to_have_attribute("aria-label", "Play")
    assert pictures(page) != before
    # All checkpoints are as quick: a second of twelve.
    assert 15 <= int(fields(page)["step"]) <= 260


def drag_to(page: Page, panel: int, x: float) -> None:
    """Press on a panel's left half and pull to a place, as a part of its width."""
    svg = page.locator(".samlib-panel svg, .samlib-picture svg").nth(panel)
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    page.evaluate(DRAWN)


def test_dragging_across_a_panel_chooses_rho_or_the_step(page: Page) -> None:
    for panel in (1, 2):
        drag_to(page, panel, 0.98)
        assert fields(page) == {"rho": "0.5", "step": "6000"}
        drag_to(page, panel, 0.05)
        assert fields(page) == {"rho": "0", "step": "6000"}
    for panel in (0, *range(3, 7)):
        drag_to(page, panel, 0.6)
        assert 1000 < int(fields(page)["step"]) < 3000
        assert fields(page)["rho"] == "0"
        drag_to(page, panel, 0.99)  # again: the first drag has selected no text
        assert fields(page)["step"] == "6000"


@pytest.mark.parametrize("method", ["GD", "SAM", "1-SAM"])
def test_one_method_alone_shows_its_ten_eigenvalues(page: Page, method: str) -> None:
    before = pictures(page)
    page.get_by_role("radio", name=method, exact=True).check(force=True)
    after = pictures(page)
    assert all(a != b for a, b in zip(after, before, strict=True))
    name = f"The ten largest eigenvalues of {method}"
    expect(page.locator(".samlib-picture svg")).to_have_attribute("aria-label", name)
    rows = page.locator(".samlib-density .samlib-mark:visible").all_text_contents()
    assert any(row.endswith(method) for row in rows)
    assert not any(row.endswith(other) for other in {"GD", "SAM"} - {method} for row in rows
                   if not row.endswith(method))  # fmt: skip
    page.get_by_role("radio", name="All three").check(force=True)
    assert pictures(page) == before


def test_a_link_brings_back_every_part_of_the_state(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder)
    fill(page, "rho", "0.05")
    fill(page, "step", "735")
    page.get_by_role("radio", name="SAM", exact=True).check(force=True)
    share(page, "link")
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert fields(again) == fields(page) == {"rho": "0.05", "step": "735"}
    assert readout(again) == readout(page)
    assert pictures(again) == pictures(page)
    again.locator("[data-control='reset']").click()
    assert fields(again) == {"rho": "0.2", "step": "6000"}


BAD_LINKS = {
    "rho=abc": "ρ = “abc” is not a number and was ignored",
    "rho=0.07": "ρ = 0.07 was moved to 0.05, the nearest computed",
    "rho=7": "ρ = 7 was moved to 0.5",
    "rho=-1": "ρ = -1 was moved to 0",
    "step=7": "step = 7 was moved to 4, the nearest computed",
    "step=1e9": "step = 1e9 was moved to 6000",
    "step=NaN": "step = “NaN” is not a number and was ignored",
    "method=Adam": "method = “Adam” is unknown and was ignored",
}


def test_a_bad_link_is_put_right_and_says_so(page: Page) -> None:
    for fragment, message in BAD_LINKS.items():
        page.evaluate("(fragment) => { location.hash = fragment; }", f"#figure:{fragment}")
        expect(page.locator(".samlib-note")).to_contain_text(message)
        opening = r"At step [\d,]+ with ρ = [\d.]+: gradient descent has λ₁ = "
        assert re.match(opening, readout(page))
        assert "undefined" not in readout(page)
        assert float(fields(page)["rho"]) in RHOS
        assert int(fields(page)["step"]) in STEPS


def test_it_fits_and_every_text_can_be_read(page: Page) -> None:
    for width in (360, 800):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert misfits(page) == []


def test_nothing_jumps(open_page: Open, placeholder: str) -> None:
    assert_nothing_jumps(open_page, placeholder)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_both_themes(page: Page, theme: str) -> None:
    assert_accessible(page, theme)


# ── Python ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"rho": 0.07}, r"rho must be one of 0, 0.02, 0.05, .* runs were computed, got 0.07"),
        ({"rho": 0.6}, r"rho must be a finite number from 0 to 0.5, got 0.6"),
        ({"rho": float("nan")}, r"rho must be a finite number .*got nan"),
        ({"step": 7}, r"step must be one of the 41 checkpoints, got 7; the nearest are 4 and 15"),
        ({"step": 6001}, r"step must be a whole number from 0 to 6000, got 6001"),
        ({"step": "last"}, r"step must be a whole number .*got 'last'"),
        ({"method": "Adam"}, r"method must be one of 'all', 'gradient descent', .*got 'Adam'"),
    ],
)
def test_wrong_values_are_refused_with_reasons(traits: dict[str, Any], message: str) -> None:
    assert_refused(SpectrumInTraining, traits, message)


def test_the_tables_have_what_is_shown() -> None:
    figure = SpectrumInTraining(rho=0.05, step=735)
    table = figure.to_dataframe()
    assert len(table) == 2 * len(RHOS) * len(STEPS)
    row = table[(table.method == "one_sam") & (table.rho == 0.05) & (table.step == 735)].iloc[0]
    at = 1, RHOS.index(0.05), STEPS.index(735)
    arrays = read_sweep().arrays
    assert row.eigenvalue_10 == arrays["eigenvalues"][(*at, 9)]
    assert row.test_accuracy == arrays["test_accuracy"][at]
    assert (row.own_step, row.time) == (7350, 367.5)
    assert table[table.method == "sam"].edge.notna().all()
    density = figure.density()
    assert density[["gradient_descent", "sam", "one_sam"]].sum().tolist() == [1210] * 3
    assert (density.low[1:].to_numpy() == density.high[:-1].to_numpy()).all()
    with pytest.raises(ValueError, match="read-only"):
        arrays["loss"][0, 0, 0] = 0
    figure.provenance["settings"]["lr"]["sam"] = 7
    assert figure.provenance["settings"]["lr"]["sam"] == 0.5


@pytest.mark.parametrize("method", ["all", "gradient descent", "SAM", "1-SAM"])
def test_every_choice_has_a_still_and_a_sentence(method: str) -> None:
    for rho, step in ((0.0, 0), (0.5, 6000)):
        figure = SpectrumInTraining(method=method, rho=rho, step=step)
        assert figure.still().startswith(b"\x89PNG")
        assert re.fullmatch(r"At step [\d,]+ with ρ = .*\.", figure.sentence())
        assert "nan" not in figure.sentence()


def test_the_placeholder_carries_state_data_still_and_sentence(
    open_page: Open, placeholder: str
) -> None:
    assert placeholder == SpectrumInTraining().to_html(id="figure")
    state = re.search(r'<script type="application/json">(.*?)</script>', placeholder)
    assert state is not None
    assert len(state[1].encode()) <= 150_000
    values = json.loads(state[1])
    assert (values["_figure"], values["rho"], values["step"]) == ("SpectrumInTraining", 0.2, 6000)
    page = open_page(placeholder, scripts=False)
    assert page.locator("figcaption").inner_text() == SpectrumInTraining().sentence()
    assert page.locator("figure img").evaluate("(i) => i.complete && i.naturalWidth > 500")
