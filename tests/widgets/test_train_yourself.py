"""The figure TrainYourself on a page: it trains, answers while it trains, and begins anew."""

from __future__ import annotations

import functools
import re

import pytest
from playwright.sync_api import expect

from samlib.widgets import ThreeNotions, TrainYourself
from samlib.widgets.figures.train_yourself.model import course_of
from samlib.widgets.figures.train_yourself.presets import PRESETS
from tests.sharing import share

from .conftest import ADDRESS, Open
from .panels import open_panels
from .reading import (
    DRAWN,
    assert_accessible,
    assert_nothing_jumps,
    fields,
    fill,
    misfits,
    pictures,
    press,
    readout,
    violations,
)
from .train_page import PATIENCE, PLAY, REWIND, STEP, at_step, ready, steps

# A page of a browser that lacks something.
WITHOUT_WORKERS = "<script>delete window.Worker</script>"
WITHOUT_WEBASSEMBLY = """<script>
const Whole = Blob;
window.Blob = class extends Whole {{
  constructor(parts, options) {{
    super(["{}", ...parts], options);
  }}
}};
</script>"""
LACKING = {
    "SIMD": "WebAssembly.Module = class { constructor() { throw Error(); } };",
    "all of it": "delete self.WebAssembly;",
}


@pytest.fixture
def open_page(open_page: Open) -> Open:
    """As for other figures, but without all panels: what they measure takes time."""
    return functools.partial(open_page, panels=False)


@pytest.fixture(scope="module")
def placeholder() -> str:
    """The figure's placeholder, as it opens."""
    return TrainYourself().to_html(id="figure")


@pytest.fixture(scope="module")
def small() -> str:
    """A small problem whose numbers are samlib's."""
    return TrainYourself(rows=60, precision="float64", seed=3, lr=0.4).to_html(id="figure")


# ── The page ─────────────────────────────────────────────────────────────────────────────────────


def test_it_is_alive_within_a_second_and_can_be_paused(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder)
    ready(page)
    before = pictures(page)
    page.locator(PLAY).click()
    expect(page.locator(PLAY)).to_have_attribute("aria-label", "Pause")
    at_step(page, lambda step: step > 20)
    page.locator(PLAY).click()
    expect(page.locator(PLAY)).to_have_attribute("aria-label", "Play")
    page.wait_for_timeout(500)
    rested = at_step(page, lambda _: True)
    page.wait_for_timeout(400)
    assert at_step(page, lambda _: True) == rested
    assert pictures(page)[0] != before[0]
    assert readout(page).startswith(f"Step {rested}, η = 0.5: gradient descent has λ₁ = ")


def test_nothing_plays_by_itself(open_page: Open, placeholder: str) -> None:
    for reduced in ("reduce", "no-preference"):
        page = open_page(placeholder, reduced_motion=reduced)
        ready(page)
        page.wait_for_timeout(400)
        assert at_step(page, lambda _: True) == 0


def test_at_rest_the_digits_are_those_of_the_sentence(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder, reduced_motion="reduce")
    ready(page)
    counts = re.findall(r"misreads ([\d,]+) of 1,297 test digits", readout(page))
    headings = page.locator(".samlib-train-wrong p").all_inner_texts()
    assert [re.findall(r"misreads ([\d,]+) of", each)[0] for each in headings] == counts
    assert "at the start" not in headings[0]
    rows = page.locator(".samlib-train-row canvas")
    look = "(canvas) => canvas.toDataURL()"
    before = [row.evaluate(look) for row in rows.all()]
    assert before[0] != before[1]  # at the start both would misread the same
    steps(page, 1)
    assert [row.evaluate(look) for row in rows.all()] != before


def test_moving_rho_while_it_trains_bends_the_curve(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder)
    page.locator(PLAY).click()
    at_step(page, lambda step: step > 60)
    assert "SAM with ρ = 0.1 has" in readout(page)
    press(page, "input[data-control='rho']", "End")
    now = at_step(page, lambda _: True)
    at_step(page, lambda step: step > now + 60)
    expect(page.locator(PLAY)).to_have_attribute("aria-label", "Pause")  # it went on
    page.locator(PLAY).click()
    said = re.search(r"SAM with ρ = 0\.5 has λ₁ = ([\d.]+)", readout(page))
    assert said is not None
    # With ρ = 0.1 it would be at 1.6.
    assert float(said[1]) < 1.5


def test_the_page_has_samlibs_numbers(open_page: Open, small: str) -> None:
    page = open_page(small)
    steps(page, 6)
    figure = TrainYourself(rows=60, precision="float64", seed=3, lr=0.4)
    course = course_of(figure.state(), 6, 6)
    said = re.search(
        r"gradient descent has λ₁ = ([\d.]+).*? and (\d+) test digits wrong; "
        r"SAM with ρ = 0.1 has λ₁ = ([\d.]+).*? and (\d+) test digits wrong",
        readout(page),
    )
    assert said is not None, readout(page)
    assert [float(said[1]), float(said[3])] == [float(f"{run[-1]:.2g}") for run in course.top]
    assert (int(said[2]), int(said[4])) == course.wrong


def test_rewinding_leads_back_to_the_same_start(open_page: Open, small: str) -> None:
    page = open_page(small)
    steps(page, 3)
    first = readout(page)
    page.locator(REWIND).click()
    at_step(page, lambda step: step == 0)
    steps(page, 3)
    assert readout(page) == first


def test_a_preset_begins_anew(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder)
    steps(page, 2)
    page.get_by_role("radio", name="Nonsense").check(force=True)
    at_step(page, lambda step: step == 0)
    assert fields(page)["rows"] == "200"
    expect(page.locator(".samlib-train-panel:visible")).to_have_count(2)
    page.locator("[data-control='reset']").click()
    page.evaluate(DRAWN)
    assert fields(page)["rows"] == "500"
    expect(page.get_by_role("radio", name="Edge")).to_be_checked()


def test_rho_moves_by_itself_and_a_link_tells_of_it_as_it_was(open_page: Open) -> None:
    figure = TrainYourself(rows=60, rho=0.05, switch_step=3, switch_rho=0.3)
    page = open_page(figure.to_html(id="figure"))
    steps(page, 3)
    assert fields(page)["rho"] == "0.05"
    page.locator(STEP).click()
    at_step(page, lambda step: step == 4)
    assert fields(page)["rho"] == "0.3"
    share(page, "link")
    assert "rho=0.05&" in page.url
    page.locator(REWIND).click()
    at_step(page, lambda step: step == 0)
    assert fields(page)["rho"] == "0.05"


PANELS = {
    "loss": 2, "gradient": 1, "spectrum": 2, "trace": 1, "alignment": 2, "profile": 1,
}  # fmt: skip


def test_every_panel_comes_when_it_is_asked_for_and_shows_something(
    open_page: Open, small: str
) -> None:
    page = open_page(small)
    steps(page, 2)
    assert page.locator(".samlib-train-panel:visible").count() == 0
    for panel, count in PANELS.items():
        opener = page.locator(f"[data-opens='{panel}']")
        opener.click()
        expect(page.locator(".samlib-train-panel:visible")).to_have_count(count)
        page.locator(STEP).click()
        page.wait_for_timeout(300)
        seen = pictures(page)
        page.wait_for_function(
            """() => [...document.querySelectorAll(".samlib-train-panel canvas")]
              .filter((canvas) => canvas.getClientRects().length)
              .every((canvas) => canvas.getContext("2d")
                .getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v))"""
        )
        assert len(seen) == count + 3
        opener.click()


def test_methods_and_rates_move_while_it_trains(open_page: Open, small: str) -> None:
    page = open_page(small)
    open_panels(page, "settings")
    steps(page, 1)
    page.locator("select[data-control='first']").select_option("one_sam")
    page.locator("select[data-control='second']").select_option("m_sam")
    fill(page, "lr", "0.03")
    fill(page, "batch", "7")
    page.locator(STEP).click()
    at_step(page, lambda step: step == 2)  # no new start
    assert re.match(r"Step 2, η = 0.03: 1-SAM with ρ = 0.1 has .*; m-SAM with ρ", readout(page))
    for name in ("network", "loss", "precision"):
        select = page.locator(f"select[data-control='{name}']")
        other = select.evaluate("(s) => [...s.options].find((o) => !o.selected).value")
        select.select_option(other)
        at_step(page, lambda step: step == 0)
        ready(page)
        page.locator(STEP).click()
        at_step(page, lambda step: step == 1)


def test_a_link_brings_back_every_setting(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder)
    open_panels(page, "settings")
    for name, value in (("first", "sgd"), ("second", "mini_batch"), ("loss", "cross-entropy")):
        page.locator(f"select[data-control='{name}']").select_option(value)
    for name, value in (
        ("rho", "0.23"), ("lr", "0.31"), ("batch", "17"), ("rows", "77"), ("shuffled", "0.25"),
        ("width", "40"), ("seed", "99"), ("switch_step", "12"), ("switch_rho", "0.07"),
    ):  # fmt: skip
        fill(page, name, value)
    open_panels(page, "trace")
    share(page, "link")
    again = open_page(placeholder, fragment=page.url.removeprefix(ADDRESS))
    assert fields(again) == fields(page)
    assert readout(again) == readout(page)
    chosen = "[...document.querySelectorAll('select, input:checked')].map((e) => e.value)"
    assert again.evaluate(chosen) == page.evaluate(chosen)


BAD_LINKS = {
    "rho=abc": "ρ = “abc” is not a number and was ignored",
    "rho=7": "ρ = 7 was moved to 2",
    "rows=3": "rows = 3 was moved to 50",
    "first=adam": "first = “adam” is unknown and was ignored",
    "preset=nothing": "preset = “nothing” is unknown and was ignored",
}


def test_a_bad_link_is_put_right_and_says_so(open_page: Open, small: str) -> None:
    page = open_page(small)
    for fragment, message in BAD_LINKS.items():
        page.evaluate("(fragment) => { location.hash = fragment; }", f"#figure:{fragment}")
        expect(page.locator(".samlib-note")).to_contain_text(message)
        assert "undefined" not in readout(page)


@pytest.mark.parametrize("name", PRESETS)
def test_a_text_may_link_to_a_preset(open_page: Open, placeholder: str, name: str) -> None:
    page = open_page(placeholder, fragment=f"#trainyourself:preset={name}")
    for trait in ("rows", "rho", "shuffled", "switch_step"):
        assert float(fields(page)[trait]) == PRESETS[name][trait]


def test_the_keyboard_alone_trains(open_page: Open, small: str) -> None:
    page = open_page(small)
    ready(page)
    page.locator(STEP).focus()
    page.keyboard.press("Enter")
    at_step(page, lambda step: step == 1)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # rewind
    at_step(page, lambda step: step == 0)
    page.locator("[data-opens='settings']").focus()
    page.keyboard.press("Enter")
    expect(page.locator("select[data-control='first']")).to_be_visible()
    for control in page.locator("input[type=range]:visible").all():
        control.focus()
        before = fields(page)
        # From its low end it moves up, from elsewhere down.
        lowest = control.input_value() == control.get_attribute("min")
        page.keyboard.press("PageUp" if lowest else "PageDown")
        assert fields(page) != before, control.get_attribute("data-control")
    page.locator("select[data-control='second']").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("select[data-control='second']").input_value() == "m_sam"


# ── What a browser may lack, and what a page need not load ───────────────────────────────────────


def test_without_workers_it_says_so_and_keeps_its_picture(
    open_page: Open, placeholder: str
) -> None:
    page = open_page(WITHOUT_WORKERS + placeholder)
    expect(page.locator(".samlib-readout")).to_contain_text("no worker", timeout=PATIENCE)
    said = readout(page)
    assert "The picture shows what samlib computed." in said
    assert TrainYourself().sentence().split(":")[0].replace(",", "") in said.replace(",", "")
    page.locator(PLAY).click()  # it may be tried again
    expect(page.locator(".samlib-readout")).to_contain_text("no worker")
    expect(page.locator(PLAY)).to_have_attribute("aria-label", "Play")


@pytest.mark.parametrize("lacking", LACKING)
def test_without_webassembly_it_says_so_and_trains_exactly(
    open_page: Open, placeholder: str, lacking: str
) -> None:
    page = open_page(WITHOUT_WEBASSEMBLY.format(LACKING[lacking]) + placeholder)
    expect(page.locator(".samlib-readout")).to_contain_text("no WebAssembly", timeout=PATIENCE)
    assert "The picture shows what samlib computed." in readout(page)
    open_panels(page, "settings")
    page.locator("select[data-control='precision']").select_option("float64")
    steps(page, 1)
    assert readout(page).startswith("Step 1, ")


def test_without_its_script_it_says_so(open_page: Open, placeholder: str) -> None:
    page = open_page(placeholder)
    page.route("**/samlib-training.js", lambda route: route.fulfill(body=""))
    page.reload()
    expect(page.locator(".samlib-readout")).to_contain_text(
        "The script that trains could not be loaded.", timeout=PATIENCE
    )


def test_scripts_are_loaded_when_a_reader_comes_near_and_by_no_other_page(
    open_page: Open, small: str
) -> None:
    page = open_page()
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    figures = f'{ThreeNotions().to_html()}<div style="height: 3000px"></div>{small}'
    page.evaluate("(html) => { document.body.innerHTML = html; }", figures)
    page.add_script_tag(url="/samlib-widgets.js")
    expect(page.locator(".samlib-readout")).not_to_be_empty()  # that of the first figure
    page.wait_for_timeout(300)
    assert not [url for url in urls if "train" in url]
    page.locator("#figure").scroll_into_view_if_needed()
    ready(page)
    for name in ("train-yourself", "training"):
        assert [url for url in urls if f"samlib-{name}.js" in url]


def test_nothing_is_trained_while_nobody_sees_it(open_page: Open, small: str) -> None:
    page = open_page(small + '<div style="height: 3000px"></div>')
    page.locator(PLAY).click()
    at_step(page, lambda step: step > 5)
    page.evaluate("scrollTo(0, 2900)")
    page.wait_for_timeout(1000)
    held = page.locator(".samlib-train-time").text_content()
    page.wait_for_timeout(500)
    assert page.locator(".samlib-train-time").text_content() == held
    page.evaluate("scrollTo(0, 0)")
    now = at_step(page, lambda _: True)
    at_step(page, lambda step: step > now)


# ── How it looks ─────────────────────────────────────────────────────────────────────────────────


def test_it_fits_and_every_text_can_be_read(open_page: Open, small: str) -> None:
    page = open_page(small)
    open_panels(page, "settings")
    open_panels(page)
    for width in (360, 800, 1200):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert misfits(page) == []


def test_nothing_jumps(open_page: Open, placeholder: str) -> None:
    assert_nothing_jumps(open_page, placeholder)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_both_themes(open_page: Open, small: str, theme: str) -> None:
    page = open_page(small, reduced_motion="reduce")  # no digit is about to appear
    steps(page, 1)
    page.wait_for_timeout(600)
    assert_accessible(page, theme)
    open_panels(page, "settings")
    assert violations(page) == []
