"""The script that trains, in a browser: workers, files, policies, and what it says on failure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from samlib.widgets import TrainYourself
from samlib.widgets.core.figure import STATIC

SCRIPT = STATIC / "samlib-training.js"
SOURCE = Path(__file__).parents[2] / "samlib/widgets/src"
STRICT = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src blob:"
)
ADDRESS = "https://training.test/"

SETTINGS = """{ network: { kind: "perceptron", width: 32 }, rows: 500, shuffled: 0.2,
  loss: "squared", seed: 0, precision: "float32" }"""

Open = Callable[..., Page]


def html(policy: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Training</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"></head>'
        f"<body>{body}</body></html>"
    )


@pytest.fixture
def open_training(browser: Browser) -> Iterator[Open]:
    """Open a page with a policy, served from memory; requests for anything else fail the test."""
    pages, strangers = [], []

    def open_training(policy: str = STRICT, body: str = "") -> Page:
        page = browser.new_page()
        pages.append(page)
        body = body or '<script src="samlib-training.js"></script>'

        def serve(route: Route) -> None:
            name = route.request.url.removeprefix(ADDRESS).partition("?")[0]
            if name == "":
                route.fulfill(body=html(policy, body), content_type="text/html; charset=utf-8")
            elif (STATIC / name).is_file():
                route.fulfill(path=STATIC / name)
            elif (SOURCE / name).is_file():
                route.fulfill(path=SOURCE / name, content_type="text/javascript")
            else:
                strangers.append(route.request.url)
                route.abort()

        page.route("**/*", serve)
        page.goto(ADDRESS)
        return page

    yield open_training
    for page in pages:
        page.close()
    assert strangers == []


def evaluate(page: Page, body: str) -> Any:
    """Run lines of an asynchronous function in which SETTINGS stands for a run."""
    return page.evaluate(f"async () => {{ const settings = {SETTINGS};\n{body} }}")


def failure(page: Page, options: str) -> list[str]:
    """The code and the message with which opening fails."""
    found: list[str] = evaluate(
        page,
        f"""try {{ await samlibTraining.openTraining({{ ...settings, ...{options} }}); }}
        catch (error) {{ return [error.code, error.message]; }}
        return ["opened", ""];""",
    )
    return found


def test_two_runs_train_side_by_side_on_a_page_opened_from_a_file(
    browser: Browser, tmp_path: Path
) -> None:
    script = tmp_path / "samlib-training.js"
    script.write_bytes(SCRIPT.read_bytes())
    body = '<script src="samlib-training.js"></script>'
    (tmp_path / "page.html").write_text(html(STRICT, body), "utf8")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    found = evaluate(
        page,
        """const both = await Promise.all([0, 1].map(() => samlibTraining.openTraining(settings)));
        const [sam, descent] = await Promise.all([
          both[0].step({ name: "sam", lr: 0.2, rho: 0.3 }, 60),
          both[1].step({ name: "gradient_descent", lr: 0.2 }, 60),
        ]);
        const measured = await Promise.all(both.map((each) => each.measure({ trace: true })));
        const wrong = await both[0].wrong(4);
        const back = await both[0].rewind();
        both.forEach((each) => each.close());
        return {
          dim: both[0].dim, starts: both.map(({ start }) => start.loss), back: back.loss,
          losses: [sam.loss, descent.loss], steps: [sam.step, descent.step],
          top: measured.map(({ eigenvalues }) => eigenvalues[0]),
          wrong: wrong.map(({ pixels }) => pixels.length),
        };""",
    )
    page.close()
    assert found["dim"] == 2410
    assert found["starts"] == [found["back"]] * 2
    assert found["steps"] == [60, 60]
    assert found["losses"][0] != found["losses"][1]
    assert max(found["losses"]) < found["back"]
    assert found["top"][0] < found["top"][1]
    assert found["wrong"] == [64] * 4


def test_the_page_answers_while_it_trains(open_training: Open) -> None:
    found = evaluate(
        open_training(),
        """const training = await samlibTraining.openTraining(settings);
        let frames = 0, open = true;
        const count = () => { frames += 1; if (open) requestAnimationFrame(count); };
        requestAnimationFrame(count);
        await training.step({ name: "sam", lr: 0.2, rho: 0.1 }, 1000);
        open = false;
        return frames;""",
    )
    assert found >= 3


def test_answers_come_in_the_order_of_the_questions(open_training: Open) -> None:
    found = evaluate(
        open_training(),
        """const training = await samlibTraining.openTraining(settings);
        const rule = { name: "sam", lr: 0.2, rho: 0.1 };
        const order = [];
        await Promise.all([
          training.step(rule, 3).then(({ step }) => order.push(step)),
          training.step({ ...rule, name: "adam" }, 3).catch(({ message }) => order.push(message)),
          training.measure().then(({ step }) => order.push(step)),
          training.rewind().then(({ step }) => order.push(step)),
        ]);
        return order;""",
    )
    assert found[0] == found[2] == 3
    assert "rule.name must be one of" in found[1]
    assert found[3] == 0


def test_without_a_worker_it_says_so_and_works_on_the_page(open_training: Open) -> None:
    page = open_training()
    code, message = failure(page, "{ pretend: { noWorker: true } }")
    assert code == "no-worker"
    assert "worker" in message
    losses = evaluate(
        page,
        """const rule = { name: "sam", lr: 0.2, rho: 0.1 };
        const all = [];
        for (const where of ["page", "worker"]) {
          const training = await samlibTraining.openTraining({ ...settings, where });
          all.push((await training.step(rule, 10)).loss);
        }
        return all;""",
    )
    assert losses[0] == losses[1]


def test_a_policy_against_workers_is_noticed(open_training: Open) -> None:
    page = open_training(STRICT.replace("worker-src blob:", "worker-src 'none'"))
    assert failure(page, "{}")[0] == "no-worker"


@pytest.mark.parametrize("pretend", [False, True])
def test_without_webassembly_it_says_so_and_works_in_float64(
    open_training: Open, pretend: bool
) -> None:
    page = open_training(STRICT if pretend else STRICT.replace(" 'wasm-unsafe-eval'", ""))
    options = "{ pretend: { noWebAssembly: true } }" if pretend else "{}"
    code, message = failure(page, options)
    assert code == "no-webassembly"
    assert "float64" in message
    loss = evaluate(
        page,
        """settings.precision = "float64";
        const training = await samlibTraining.openTraining(settings);
        return (await training.step({ name: "sam", lr: 0.2, rho: 0.1 }, 3)).loss;""",
    )
    assert 0 < loss < 1


def test_what_makes_no_sense_is_refused(open_training: Open) -> None:
    code, message = failure(open_training(), "{ rows: 1797 }")
    assert code == "failed"
    assert message.startswith("rows does not fit")


# ── Loading ──────────────────────────────────────────────────────────────────────────────────────

FIGURES_SCRIPT = '<script src="samlib-widgets.js?v=1"></script>'
LOAD = 'const { loadTraining } = await import("/training/load.js");'


def test_the_script_is_loaded_once_from_beside_the_figures(open_training: Open) -> None:
    found = evaluate(
        open_training(body=FIGURES_SCRIPT),
        f"""{LOAD}
        const before = typeof samlibTraining;
        const [one, other] = await Promise.all([loadTraining(), loadTraining()]);
        const again = await loadTraining();
        const scripts = [...document.querySelectorAll("script")].map(({{ src }}) => src);
        const {"{ start }"} = await one.openTraining(settings);
        return [before, one === other && one === again, scripts.length, start.step];""",
    )
    assert found == ["undefined", True, 2, 0]


@pytest.mark.parametrize("mark", ["", "?v=1"])
def test_the_bundle_asks_for_its_own_version_where_versions_are_marked(
    browser: Browser, mark: str
) -> None:
    figure = TrainYourself().to_html(id="figure")
    page = browser.new_page()

    def serve(route: Route) -> None:
        name = route.request.url.removeprefix(ADDRESS).partition("?")[0]
        if name and (STATIC / name).is_file():
            route.fulfill(path=STATIC / name)
        else:
            script = f'<script src="samlib-widgets.js{mark}"></script>'
            route.fulfill(body=f"{figure}{script}", content_type="text/html; charset=utf-8")

    page.route("**/*", serve)
    with page.expect_request("**/samlib-training.js*") as request:
        page.goto(ADDRESS)
    query = request.value.url.partition("samlib-training.js")[2]
    page.close()
    digest = hashlib.sha256(SCRIPT.read_bytes()).hexdigest()[:8]
    assert query == (f"?v={digest}" if mark else "")


def test_a_notebook_gives_the_text_of_the_script(open_training: Open) -> None:
    # A notebook has no such policy, and no address of the script.
    lax = "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; worker-src blob:"
    page = open_training(lax + "; connect-src 'self'", body=" ")
    page.evaluate("(text) => { globalThis.text = text; }", SCRIPT.read_text("utf8"))
    step = evaluate(
        page,
        f"""{LOAD}
        const {{ openTraining }} = await loadTraining(globalThis.text);
        return (await openTraining(settings)).start.step;""",
    )
    assert step == 0


def test_a_script_that_is_missing_is_named(open_training: Open) -> None:
    code = evaluate(
        open_training(body=" "),
        f"""{LOAD}
        return loadTraining().catch((error) => error.code);""",
    )
    assert code == "no-script"


def test_the_script_is_small_and_alone() -> None:
    text = SCRIPT.read_text("utf8")
    assert len(text.encode()) <= 150_000
    packed = (SOURCE / "training/digits/packed.js").read_text("utf8")
    assert len(packed.encode()) <= 40_000
    assert "https://" not in text.replace("http://www.w3.org/", "")
    for other in ("samlib-widgets.js", "samlib-widgets.esm.js"):
        bundle = (STATIC / other).read_text("utf8")
        assert packed[-1000:-10] not in bundle
