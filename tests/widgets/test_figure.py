"""The figure on a page without a kernel, by mouse, by keyboard and by link."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from samlib.widgets import Alignment

from .conftest import ADDRESS, Open
from .reading import DRAWN, fields, fill, has_colour, misfits, pictures, press, readout, violations

# Control → what its number field is called.
SLIDERS = {
    "quadratic": ["rho", "lr", "eigenvalue-1", "eigenvalue-2", "steps"],
    "four-dimensional": ["rho", "lr", "steps"],
}


SPECTRUM = (3.0, 1.0, 0.75, 0.563, 0.422, 0.316, 0.237, 0.178, 0.133, 0.1)


@pytest.fixture(scope="module")
def ten() -> str:
    """The figure's placeholder in ten dimensions, with the invariant set, with an id."""
    return Alignment(eigenvalues=SPECTRUM, invariant=True, frame=12).to_html(id="figure")


@pytest.fixture(params=["quadratic", "four-dimensional"])
def landscape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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


# ── The spectrum ─────────────────────────────────────────────────────────────────────────────────


def spectrum(page: Page) -> list[float]:
    shown = fields(page)
    return [float(shown[name]) for name in shown if name.startswith("eigenvalue-")]


def test_the_dimension_grows_and_shrinks(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    stems = page.locator(".samlib-spectrum [role='slider']:visible")
    before = pictures(page), readout(page), fields(page)
    height = page.locator(".samlib-alignment").evaluate("(e) => e.offsetHeight")
    press(page, "input[data-control='dimension']", *["ArrowRight"] * 8)
    assert spectrum(page) == [3, 1, *(pytest.approx(0.75**k, rel=0.01) for k in range(1, 9))]
    grown = spectrum(page)
    assert [fields(page)[f"start-{i}"] for i in (1, 2, 3, 10)] == ["0.3", "0.85", "0.85", "0.85"]
    assert stems.count() == 10
    assert pictures(page) != before[0]
    assert readout(page) != before[1]
    assert page.locator(".samlib-alignment").evaluate("(e) => e.offsetHeight") == height
    press(page, "input[data-control='dimension']", "ArrowLeft")
    assert spectrum(page) == grown[:9]
    fill(page, "dimension", "11")
    assert page.locator("[data-field='dimension']").get_attribute("aria-invalid") == "true"
    fill(page, "dimension", "2")
    assert stems.count() == 2
    assert (pictures(page), readout(page), fields(page)) == before


@pytest.mark.parametrize("index", [1, 7])
def test_an_eigenvalue_is_dragged(open_page: Open, ten: str, index: int) -> None:
    page = open_page(ten)
    before = pictures(page), readout(page), spectrum(page)
    knob = page.locator(f"[data-control='eigenvalue-{index}'] .samlib-ring")
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 3, y - 11, steps=3)
    page.mouse.up()
    after = spectrum(page)
    assert after[index - 1] > 1.2 * before[2][index - 1]
    after[index - 1] = before[2][index - 1]
    assert after == before[2]
    assert pictures(page) != before[0]
    assert readout(page) != before[1]


def test_a_finger_drags_an_eigenvalue(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic, has_touch=True)
    knob = page.locator("[data-control='eigenvalue-2'] .samlib-ring")
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    scrolled = page.evaluate("scrollY")
    session = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x, "y": y - 12}]),
        ("touchMove", [{"x": x, "y": y - 90}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert spectrum(page) == [3, 10]
    assert page.evaluate("scrollY") == scrolled


@pytest.mark.parametrize(
    ("key", "factor"),
    [("ArrowUp", 1.05), ("ArrowLeft", 1 / 1.05), ("Shift+ArrowUp", 1.05**4), ("PageDown", 0.5)],
)
def test_keys_change_an_eigenvalue(
    open_page: Open, quadratic: str, key: str, factor: float
) -> None:
    page = open_page(quadratic)
    stem = page.locator("[data-control='eigenvalue-2']")
    press(page, "[data-control='eigenvalue-2']", key)
    assert spectrum(page) == [3, pytest.approx(factor, rel=0.01)]
    assert float(stem.get_attribute("aria-valuenow") or 0) == spectrum(page)[1]


def test_an_eigenvalue_beyond_the_axis_has_room(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    fill(page, "eigenvalue-1", "250")
    fill(page, "eigenvalue-2", "0.002")
    plot = page.locator(".samlib-spectrum .samlib-area").bounding_box()
    assert plot is not None
    for i in (1, 2):
        knob = page.locator(f"[data-control='eigenvalue-{i}'] .samlib-ring").bounding_box()
        assert knob is not None
        assert plot["y"] <= knob["y"] <= plot["y"] + plot["height"]


def test_pointing_at_an_eigenvalue_shows_its_line(open_page: Open, ten: str) -> None:
    page = open_page(ten)
    before = pictures(page)
    page.locator("[data-control='eigenvalue-4']").focus()
    after = pictures(page)
    assert [a == b for a, b in zip(before, after, strict=True)].count(False) == 1
    page.locator("[data-control='rho']").focus()
    assert pictures(page) == before


def test_the_shares_follow_the_step_and_their_panel_scrubs(open_page: Open, ten: str) -> None:
    page = open_page(ten)
    bars = page.locator(".samlib-spectrum canvas")
    before = bars.evaluate("(canvas) => canvas.toDataURL()")
    panel = page.locator(".samlib-shares svg")
    panel.scroll_into_view_if_needed()
    box = panel.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 70, steps=4)
    page.mouse.up()
    page.evaluate(DRAWN)
    assert page.locator(".samlib-time").inner_text() == "step 100 of 100"
    assert bars.evaluate("(canvas) => canvas.toDataURL()") != before


def test_the_invariant_set_is_shown_and_entered(open_page: Open, quadratic: str) -> None:
    page = open_page(quadratic)
    since = Alignment().invariant_since()
    assert since is not None
    before = pictures(page), readout(page)
    switch = page.locator("[data-control='invariant']")
    switch.focus()
    page.keyboard.press("Space")
    assert pictures(page)[0] != before[0]
    assert pictures(page)[1:] == before[0][1:]
    assert readout(page) == before[1][:-1] + (
        "; SAM meets 1 of the 2 conditions of the invariant set."
    )
    for frame in (since, since + 20):
        press(page, "[data-control='frame']", "Home", *["ArrowRight"] * frame)
        assert readout(page).endswith(f"; SAM is inside the invariant set since step {since}.")
    fill(page, "lr", "0.34")
    assert readout(page).endswith("; there is no invariant set, because ηλ₁ is not below 1.")
    fill(page, "rho", "0")
    assert readout(page).endswith("; with ρ = 0 there is no invariant set.")
    page.get_by_role("radio", name="Four-dimensional loss").check(force=True)
    page.evaluate(DRAWN)
    assert not switch.is_visible()
    page.locator("[data-control='reset']").click()
    assert (pictures(page), readout(page)) == before


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
    ticks = page.locator(".samlib-plane .samlib-axis").first.text_content()
    zoom = page.locator("[data-control='zoom']")
    zoom.click()
    assert pictures(page)[0] != before[0]
    assert page.locator(".samlib-plane .samlib-axis").first.text_content() != ticks
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
          const plane = document.querySelector(".samlib-plane");
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
    page.locator("[data-control='link']").click()
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
    fill(page, "start-1", "0.9")
    fill(page, "rho", "0.08")
    page.locator("[data-control='zoom']").click()
    press(page, "[data-control='frame']", "End")
    page.locator("[data-control='link']").click()
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
        page = open_page(figure, width=width, scripts=scripts)
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
