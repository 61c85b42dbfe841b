"""Random links: whatever stands in one, the figure is drawn, in a state that its class allows."""

from __future__ import annotations

import itertools
import random
import re
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from playwright.sync_api import Page, expect

from samlib.widgets import Alignment, BasinMap, LimitingFlow, OppositeDrifts, TrainYourself
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.traits import OneOf, Reals, Whole
from tests.sharing import share

from .conftest import FIGURES, Open
from .reading import DRAWN, fields

pytestmark = pytest.mark.slow  # hundreds of links

SEED = 2024
FRAGMENTS = 120  # for each figure
PICTURED = 20  # of every so many the pictures are compared, too

# What these show takes a while to compute: they have tests of their own.
TRAINING = ("LimitingFlow", "TrainYourself")

# Learning rates for which a run is quick: the last one diverges.
RATES = ("0.5", "1", "10")

STRANGE_NAMES = (
    "", "__proto__", "constructor", "toString", "hasOwnProperty", "_config", "nonsense", "größe",
    "λ₁", "rho ", "RHO", "start[]", "frame.x",
)  # fmt: skip
STRANGE_NUMBERS = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e308", "-1e308", "5e-324", "1e-300", "-0",
    "0", "0x10", "0b11", "0o7", "1_000", "1,000", "", " ", "+", "-", "%20 0.5%20", "0.5%0A", "½",
    "\N{ARABIC-INDIC DIGIT ONE}", "1e", "9007199254740993", "2147483647", "2147483648",
    "-2147483649", "1e21", "−1", "true", "null", "12px",
)  # fmt: skip
STRANGE_TEXTS = (
    "%", "%E0%A4%A", "%ZZ", "%00", "<script>alert(1)</script>", "#other:rho=1", "{}",
    "[object Object]", "__proto__", "constructor", "valueOf", "🙂", "\N{RIGHT-TO-LEFT OVERRIDE}",
    "a" * 10_000, "1" * 10_000, "0." + "3" * 10_000, ",".join("1" * 5_000), "%F0%9F" * 1_700,
    "quadratic,quadratic", "undefined",
)  # fmt: skip


def number_within(low: float, high: float, rng: random.Random) -> float:
    """A number of a range: an end, near an end, or of any size between."""
    if rng.random() < 0.3:
        return rng.choice((low, high, max(low, 0.0)))
    if rng.random() < 0.5 and high > 0:
        smallest = low if low > 0 else high * 1e-9
        return max(low, smallest * (high / smallest) ** rng.random()) * rng.choice((1, 1, -1))
    return rng.uniform(low, high)


def good_value(figure: Figure, name: str, rng: random.Random) -> str:
    """A value that a link may have, most often."""
    trait = figure.traits()[name]
    if isinstance(trait, OneOf):
        return quote(rng.choice(trait.choices))
    if isinstance(trait, Reals):
        count = rng.randint(trait.shortest, trait.longest)
        if rng.random() < 0.7:
            count = len(getattr(figure, name))
        return ",".join(repr(number_within(trait.low, trait.high, rng)) for _ in range(count))
    if isinstance(trait, Whole):
        return str(round(number_within(trait.low, trait.high, rng)))
    if hasattr(trait, "low"):
        return repr(number_within(trait.low, trait.high, rng))
    return rng.choice(("0", "1", "true", "false"))


def strange_value(figure: Figure, rng: random.Random) -> str:
    """Numbers, lists and texts that it may not have, and those of other traits."""
    return rng.choice(
        (
            lambda: rng.choice(STRANGE_NUMBERS),
            lambda: ",".join(rng.choices(STRANGE_NUMBERS, k=rng.randint(1, 12))),
            lambda: rng.choice(STRANGE_TEXTS),
            lambda: good_value(figure, rng.choice(figure.state_names), rng),
        )
    )()


def fragment(figure: Figure, rng: random.Random) -> str:
    """A link to the figure, good, bad or in parts."""
    badness = rng.choice((0.0, 0.1, 0.5, 1.0))
    entries = []
    for _ in range(rng.randint(0, 2 * len(figure.state_names))):
        known = rng.random() >= 0.3 * badness
        name = rng.choice(figure.state_names if known else STRANGE_NAMES)
        good = known and rng.random() >= badness
        value = good_value(figure, name, rng) if good else strange_value(figure, rng)
        entries.append(name + (f"={value}" if rng.random() >= 0.1 * badness else ""))
    text = "#figure:" + (rng.choice("&&&;") if badness else "&").join(entries)
    if rng.random() < 0.1 * badness:  # somebody has pasted two links together
        text += rng.choice(("#other:rho=1", "&figure:rho=1", "#figure:rho=1", "&other:start=1,2"))
    return text


# Follows each link, looks, copies a link to the state, resets, follows that, and looks again.
# Animation frames come when the test asks for them, so that hundreds of links take seconds.
FOLLOW = """async ([links, pictured, settle]) => {
  const real = window.requestAnimationFrame.bind(window);
  let waiting = [];
  window.requestAnimationFrame = (draw) => waiting.push(draw);
  window.cancelAnimationFrame = () => {};
  const flush = () => {
    while (waiting.length) for (const draw of waiting.splice(0)) draw(performance.now());
  };
  const rest = async () => {
    for (let i = 0; i < 2; i++) await new Promise((done) => real(() => setTimeout(done)));
    flush();
  };
  // A run in the background is waited for where that is quick.
  const settled = async () => {
    while (settle && body.getAttribute("aria-busy") === "true") {
      await new Promise((done) => setTimeout(done));
      flush();
    }
  };
  const body = document.querySelector(".samlib-body");
  const all = (selector) => [...body.querySelectorAll(selector)];
  const shown = (e) => e.getClientRects().length > 0;
  const follow = (link) => {
    history.replaceState(null, "", link);
    dispatchEvent(new HashChangeEvent("hashchange"));
    flush();
  };
  const copy = () => {
    body.querySelector("[data-control='link']").click();
    return location.hash;
  };
  const look = (pictures) => ({
    sentence: body.querySelector(".samlib-readout").textContent,
    note: body.querySelector(".samlib-note").textContent,
    fields: Object.fromEntries(all("[data-field]").map((f) => [f.dataset.field, f.value])),
    switches: all("input[type='checkbox'], input[type='radio']").map((i) => i.checked),
    pressed: all("[aria-pressed]").map((e) => e.getAttribute("aria-pressed")),
    sliders: all("input[type='range']").map((i) => i.value),
    texts: all("text, .samlib-time, .samlib-heading").filter(shown).map((e) => e.textContent),
    values: all("[aria-valuetext]").filter(shown).map((e) => e.getAttribute("aria-valuetext")),
    empty: all("canvas").filter((c) => shown(c) && !(c.width && c.height)).length,
    canvases: all("canvas").filter(shown).length,
    axes: all("svg .samlib-axis .tick").filter(shown).length,
    pictures: pictures ? all("canvas").filter(shown).map((c) => c.toDataURL()) : [],
    overflow: document.documentElement.scrollWidth - innerWidth,
  });
  const looks = [];
  for (const [i, link] of links.entries()) {
    const pictures = i % pictured === 0;
    try {
      follow(link);
      if (pictures) await rest();
      await settled();
      const first = look(pictures);
      const copied = copy();
      body.querySelector("[data-control='reset']").click();
      flush();
      follow(copied);
      if (pictures) await rest();
      await settled();
      looks.push({ first, copied, again: look(pictures), repeated: copy() });
    } catch (error) {
      looks.push({ error: `${error.stack}` });
    }
  }
  return looks;
}"""


NOT_A_NUMBER = re.compile(r"nan\b|undefined|infinity|∞|null|\[object", re.IGNORECASE)


def assert_right(figure: Figure, look: dict[str, Any]) -> None:
    """The figure is drawn, says something, and its fields are within their limits."""
    assert look["sentence"].endswith(".")
    for text in (look["sentence"], *look["texts"], *look["values"]):
        assert not NOT_A_NUMBER.search(text or ""), text
    assert look["canvases"] > 0
    assert look["axes"] > 0
    assert look["empty"] == 0
    assert len(look["note"]) < 1000
    assert look["overflow"] <= 0
    config: Any = figure._config
    limits = {
        **config["limits"],
        "eigenvalue": config["limits"].get("eigenvalues"),
        "dimension": config["sliders"].get("quadratic", config["limits"]).get("dimension"),
    }
    for name, text in look["fields"].items():
        low, high = limits[name.split("-")[0]]
        assert low <= float(text) <= high, name


def assert_python_agrees(figure: Figure, link: str) -> None:
    """The state in a link that the figure wrote is one that its class allows."""
    state: dict[str, Any] = {}
    for name, text in parse_qsl(link.removeprefix("#figure:"), strict_parsing=True):
        old = getattr(figure, name)
        if name == "panels":
            state[name] = tuple(text.split(",")) if text else ()
        elif isinstance(old, tuple):
            state[name] = [float(part) for part in text.split(",")]
        elif isinstance(old, (bool, str)):
            state[name] = text == "1" if isinstance(old, bool) else text
        else:
            state[name] = float(text)
    again = type(figure)(**state).state()
    assert all(again[name] == pytest.approx(state[name], abs=0) for name in state)


CONTROLS = ("fields", "switches", "pressed")
WORDS = (*CONTROLS, "sliders", "values", "sentence")
ALL = (*WORDS, "texts", "pictures", "canvases", "axes")


def assert_links_hold(
    page: Page, figure: Figure, links: list[str], same: tuple[str, ...], settle: bool = False
) -> None:
    """After each link the figure is right, and a link that it writes brings back the ``same``."""
    warnings: list[str] = []
    page.on("console", lambda message: warnings.append(f"{message.type}: {message.text}"))
    looks = page.evaluate(FOLLOW, [links, PICTURED, settle])
    assert warnings == []
    for link, look in zip(links, looks, strict=True):
        assert "error" not in look, (link, look)
        first, again = look["first"], look["again"]
        try:
            assert_right(figure, first)
            assert look["repeated"] == look["copied"]
            assert "In the link" not in again["note"]  # it needs not be put right
            for name in same:
                assert again[name] == first[name], name
            assert_python_agrees(figure, look["copied"])
        except AssertionError as error:
            raise AssertionError(f"after {link[:600]} and {look['copied']}: {error}") from error


def without_still(figure: Figure) -> str:
    """The placeholder; the page replaces its still, which takes a while to draw."""
    figure.still = lambda: b""
    figure.sentence = lambda: ""
    return figure.to_html(id="figure")


def random_links(figure: Figure, count: int = FRAGMENTS) -> list[str]:
    rng = random.Random(f"{SEED} {figure._figure}")
    return [fragment(figure, rng) for _ in range(count)]


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in (*TRAINING, "BasinMap")])
def test_any_link_leads_to_a_figure(open_page: Open, name: str) -> None:
    figure = FIGURES[name]()
    page = open_page(without_still(figure))
    assert_links_hold(page, figure, random_links(figure), ALL)


def test_any_link_leads_to_a_map(open_page: Open) -> None:
    """More of them than can be computed; formulas have tests of their own."""
    figure = BasinMap()
    links = [re.sub(r"\bformula=[^&;#]*[&;]?", "", link) for link in random_links(figure)]
    assert_links_hold(open_page(without_still(figure)), figure, links, CONTROLS)


def test_any_link_leads_to_a_network(open_page: Open) -> None:
    """More of them than can be run: what is shown is the last run that is known."""
    figure = LimitingFlow(time=0.5, rho=0.2)
    assert_links_hold(open_page(without_still(figure)), figure, random_links(figure), CONTROLS)


def test_any_link_leads_to_networks_that_may_be_trained(open_page: Open) -> None:
    """The browser has no workers, so that none is opened for every one of the links."""
    figure = TrainYourself()
    page = open_page("<script>delete window.Worker</script>" + without_still(figure))
    assert_links_hold(page, figure, random_links(figure), (*CONTROLS, "sliders", "values"))


def test_any_link_leads_to_a_run(open_page: Open) -> None:
    """A few that are quick to run, each to its end; earlier runs stay in the pictures."""
    figure = LimitingFlow(time=0.5, rho=0.2)
    links = [
        re.sub(r"\b(network|time|lr|rho)=[^&;]*[&;]?", "", link) + f"&rho=0.3&lr={rate}"
        for link, rate in zip(random_links(figure, 12), itertools.cycle(RATES), strict=False)
    ]
    assert_links_hold(open_page(without_still(figure)), figure, links, WORDS, settle=True)


def test_each_figure_follows_its_own_links(open_page: Open) -> None:
    """Also where ids are not plain, or one begins like another."""
    ids = ("fig", "fig:two", "größe 1")
    page = open_page(*(Alignment(rho=0.1 * (i + 1)).to_html(id=id) for i, id in enumerate(ids)))

    def radii() -> list[str]:
        page.evaluate(DRAWN)
        found: list[str] = page.locator("[data-field='rho']").evaluate_all(
            "(all) => all.map((field) => field.value)"
        )
        return found

    before = radii()
    for i, id in enumerate(ids):
        page.evaluate(
            "(fragment) => (location.hash = fragment)", f"#{quote(id)}:rho=0.77#fig:rho=1"
        )
        assert radii() == before  # two links in one: the number is none
        page.evaluate("(fragment) => (location.hash = fragment)", f"#{quote(id)}:rho=0.77")
        expect(page.locator("[data-field='rho']").nth(i)).to_have_value("0.77")
        share(page.locator("[data-samlib-widget]").nth(i), "link")
        link = page.evaluate("location.hash")
        page.locator("[data-control='reset']").nth(i).click()
        assert radii() == before
        page.evaluate("location.hash = ''")
        page.evaluate("(fragment) => (location.hash = fragment)", link)
        expect(page.locator("[data-field='rho']").nth(i)).to_have_value("0.77")
        page.locator("[data-control='reset']").nth(i).click()
        assert radii() == before


def test_a_large_seed_is_shown_in_full(open_page: Open) -> None:
    page = open_page(without_still(OppositeDrifts()), fragment="#figure:seed=2147483646")
    assert fields(page)["seed"] == "2147483646"
