"""The figure Alignment on a page without a kernel, by mouse and by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from samlib.widgets import Alignment

from .conftest import Open
from .reading import DRAWN, fields, fill, pictures, press, readout

# Control → what its number field is called.
SLIDERS = {
    "quadratic": ["rho", "lr", "eigenvalue-1", "eigenvalue-2", "steps"],
    "four-dimensional": ["rho", "lr", "steps"],
}


@pytest.fixture
def page(open_page: Open, landscape: str, request: pytest.FixtureRequest) -> Page:
    return open_page(request.getfixturevalue(landscape.replace("-", "_")))


def test_every_slider_moves_picture_sentence_and_field(page: Page, landscape: str) -> None:
    def look() -> tuple[list[str], str, dict[str, str]]:
        time = page.locator(".samlib-time").inner_text()
        return pictures(page), f"{time} {readout(page)}", fields(page)

    for name in SLIDERS[landscape]:
        before = look()
        press(page, f"[data-control='{name}']", *["ArrowLeft"] * 40)
        after = look()
        assert before[0] != after[0], name
        assert before[1] != after[1], name
        assert float(after[2][name]) < float(before[2][name])


def test_every_field_moves_picture_and_sentence(page: Page, landscape: str) -> None:
    press(page, "[data-control='frame']", *["ArrowRight"] * 3)
    names = [name for name in fields(page) if name not in ("steps", "dimension")]
    assert len(names) == {"quadratic": 6, "four-dimensional": 6}[landscape]
    for name in names:
        before = pictures(page), readout(page)
        value = float(fields(page)[name]) * 0.9
        fill(page, name, str(value))
        assert float(fields(page)[name]) == pytest.approx(value, rel=1e-5)
        assert before[0] != pictures(page), name
        assert before[1] != readout(page), name


@pytest.mark.parametrize("text", ["-1", "nan", "1e9", "", "three"])
def test_a_field_refuses_what_is_not_allowed(open_page: Open, quadratic: str, text: str) -> None:
    page = open_page(quadratic)
    before = readout(page)
    field = page.locator("[data-field='rho']")
    field.fill(text)
    field.press("Enter")
    assert field.get_attribute("aria-invalid") == "true"
    message = field.evaluate("(element) => element.validationMessage")
    assert message == "a number from 0 to 1000, please"
    assert readout(page) == before
    page.locator("[data-field='lr']").focus()
    assert field.input_value() == "0.4"
    assert field.get_attribute("aria-invalid") == "false"


def test_a_run_with_more_steps_than_a_page_draws_is_refused(
    open_page: Open, quadratic: str
) -> None:
    page = open_page(quadratic)
    fill(page, "steps", "2.5")
    assert page.locator("[data-field='steps']").get_attribute("aria-invalid") == "true"
    fill(page, "steps", "150000")
    press(page, "[data-control='frame']", "End")
    assert readout(page).startswith("Step 150,000: ")


def test_the_start_is_dragged(page: Page, landscape: str) -> None:
    for index in range({"quadratic": 1, "four-dimensional": 2}[landscape]):
        before = pictures(page), fields(page)
        box = page.locator("[data-control='start']").nth(index).bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 40, y + 30, steps=3)
        page.mouse.up()
        after = pictures(page), fields(page)
        assert before[0] != after[0]
        changed = {name for name in after[1] if after[1][name] != before[1][name]}
        plane = {"quadratic": (1, 2), "four-dimensional": ((3, 4), (1, 2))[index]}[landscape]
        assert changed == {f"start-{i}" for i in plane}


def test_a_finger_drags_the_start(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic, has_touch=True)
    box = page.locator("[data-control='start']").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = fields(page)["start-1"]
    session = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x - 20, "y": y + 30}]),
        ("touchMove", [{"x": x - 50, "y": y + 60}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert float(fields(page)["start-1"]) < float(before) - 0.1
    # Upwards, where the page could scroll.
    before = fields(page)["start-2"]
    box = page.locator("[data-control='start']").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x, "y": y - 20}]),
        ("touchMove", [{"x": x, "y": y - 40}]),
        ("touchMove", [{"x": x, "y": y - 60}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert float(fields(page)["start-2"]) > float(before) + 0.1
    assert page.evaluate("scrollY") == 0


def test_arrow_keys_move_the_start(page: Page) -> None:
    handle = page.locator("[data-control='start']").first
    before = handle.get_attribute("aria-valuetext"), pictures(page), page.evaluate("scrollY")
    press(page, "[data-control='start']", "ArrowLeft", "ArrowDown", "Shift+ArrowLeft")
    assert handle.get_attribute("aria-valuetext") != before[0]
    assert pictures(page) != before[1]
    assert page.evaluate("scrollY") == before[2]


def test_playing_stepping_and_scrubbing(page: Page) -> None:
    play = page.locator("[data-control='play']")
    press(page, "[data-control='frame']", "Home")
    assert readout(page).startswith("Step 0: ")
    page.get_by_role("button", name="One step forward").click()
    assert readout(page).startswith("Step 1: ")
    page.get_by_role("button", name="One step back").click()
    assert readout(page).startswith("Step 0: ")
    assert page.get_by_role("button", name="One step back").is_disabled()
    before = pictures(page)
    play.click()
    expect(play).to_have_attribute("aria-label", "Pause")
    page.wait_for_function(
        "parseInt(document.querySelector('.samlib-readout').textContent.slice(5)) > 3"
    )
    play.click()
    expect(play).to_have_attribute("aria-label", "Play")
    paused = readout(page)
    assert pictures(page) != before
    page.wait_for_timeout(200)
    assert readout(page) == paused
    press(page, "[data-control='frame']", "End")
    last = re.match(r"step ([\d,]+) of ([\d,]+)", page.locator(".samlib-time").inner_text())
    assert last is not None
    assert last[1] == last[2]


def test_pointing_at_a_panel_goes_to_that_step(page: Page) -> None:
    panel = page.locator(".samlib-panel svg").first
    box = panel.bounding_box()
    assert box is not None
    panel.click(position={"x": box["width"] - 8, "y": 40})
    page.evaluate(DRAWN)
    last = page.locator(".samlib-time").inner_text()
    assert re.fullmatch(r"step ([\d,]+) of \1", last)
    panel.click(position={"x": 47, "y": 40})
    page.evaluate(DRAWN)
    assert page.locator(".samlib-time").inner_text().startswith("step 0 of")


def test_less_motion_is_played_in_few_pictures(open_page: Open, quadratic: str) -> None:
    shown: dict[str, int] = {}
    for motion in ("reduce", "no-preference"):
        page = open_page(quadratic, reduced_motion=motion)
        fill(page, "steps", "5000")
        page.evaluate(
            """() => {
              const time = document.querySelector(".samlib-time");
              window.seen = new Set();
              new MutationObserver(() => seen.add(time.textContent))
                .observe(time, { childList: true });
            }"""
        )
        page.locator("[data-control='play']").click()
        page.wait_for_timeout(1800)
        shown[motion] = page.evaluate("seen.size")
    assert 1 <= shown["reduce"] <= 6 < shown["no-preference"]


def test_switching_the_loss_and_back(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    before = fields(page), readout(page), pictures(page)
    page.get_by_role("radio", name="Four-dimensional loss").check(force=True)
    assert "from Γ" in readout(page)
    assert fields(page)["start-4"] == "0.2"
    assert page.locator(".samlib-map").is_visible()
    page.get_by_role("radio", name="Quadratic").check(force=True)
    assert (fields(page), readout(page)) == before[:2]
    assert not page.locator(".samlib-map").is_visible()


def test_reset_brings_back_the_opening_state(page: Page) -> None:
    before = fields(page), readout(page)
    press(page, "[data-control='rho']", *["ArrowLeft"] * 9)
    press(page, "[data-control='start']", "ArrowLeft")
    press(page, "[data-control='frame']", "End")
    assert (fields(page), readout(page)) != before
    page.locator("[data-control='reset']").click()
    assert (fields(page), readout(page)) == before


def test_zooming_shows_the_two_cycle(page: Page) -> None:
    press(page, "[data-control='frame']", "End")
    before = pictures(page)
    ticks = page.locator(".samlib-picture .samlib-axis").first.text_content()
    zoom = page.locator("[data-control='zoom']")
    zoom.click()
    assert pictures(page)[0] != before[0]
    assert page.locator(".samlib-picture .samlib-axis").first.text_content() != ticks
    expect(zoom).to_have_attribute("aria-pressed", "true")
    zoom.click()
    assert pictures(page) == before


@pytest.mark.parametrize("frame", [3, 4, 39, 40])
def test_the_name_of_v1_does_not_lie_on_a_prediction(
    open_page: Open, quadratic: str, frame: int
) -> None:
    fragment = f"#figure:start=0,0.85&zoom=1&frame={frame}"
    page = open_page(quadratic, fragment=fragment)
    page.evaluate(DRAWN)
    apart = page.evaluate(
        """(limit) => {
          const plane = document.querySelector(".samlib-picture");
          const place = (e) => new DOMMatrix(getComputedStyle(e).transform);
          const at = (axis, text) =>
            place([...plane.querySelectorAll(".samlib-axis")[axis].querySelectorAll(".tick")]
              .find((tick) => tick.textContent === text));
          const [zero, one] = [at(0, "0").e, at(0, "0.4").e];
          const right = zero + (one - zero) * (limit / 0.4);
          const marks = [...plane.querySelectorAll(".samlib-mark")];
          const name = marks.find((e) => e.textContent === "v₁");
          return Math.hypot(place(name).e - right, place(name).f - 4 - at(1, "0").f);
        }""",
        Alignment().predicted_limit(),
    )
    assert apart > 18


def test_the_sentence_is_announced_when_the_reader_rests(page: Page) -> None:
    voice = page.locator(".samlib-voice[aria-live='polite']")
    press(page, "[data-control='rho']", *["ArrowLeft"] * 12)
    expect(voice).to_have_text(readout(page))


def test_a_diverging_run_says_so(page: Page) -> None:
    fill(page, "lr", "0.7")
    press(page, "[data-control='frame']", "Home", *["ArrowRight"] * 3)
    assert re.match(
        r"Step 3: diverging, because ηλ₁ = [\d.]+ is more than 2; SAM is", readout(page)
    )


def test_two_equal_top_eigenvalues_have_no_direction(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    fill(page, "eigenvalue-2", "3")
    assert "λ₁ is a double eigenvalue, so v₁ is not unique" in readout(page)


def test_the_sentence_holds_samlibs_numbers(open_page: Open, landscape: str) -> None:
    figure = Alignment(landscape=landscape)
    run = figure.trajectory
    figure.frame = int(run.steps[10])
    x = run.x[0, 10]
    distance = float(x.norm() if landscape == "quadratic" else x[2:].norm())
    said = readout(open_page(figure.to_html()))
    assert said.startswith(f"Step {figure.frame}: ")
    assert f" {distance:.3g}" in said
