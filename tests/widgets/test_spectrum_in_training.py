"""The figure SpectrumInTraining: its data, its page, and that both have the same numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

import samlib
from samlib.widgets import SpectrumInTraining
from samlib.widgets import _training_sweep as training
from samlib.widgets.spectrum_in_training import (
    METHODS,
    RHOS,
    STEPS,
    TOP,
    bin_edges,
    edge_of_stability,
    read_sweep,
)

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


# ── The data ─────────────────────────────────────────────────────────────────────────────────────


def end(name: str, method: str, *index: int) -> Any:
    """A quantity at the last checkpoint, for every ρ or for one."""
    return read_sweep().arrays[name][METHODS.index(method), :, -1][index or ...]


def test_the_file_says_what_it_holds() -> None:
    arrays, facts = read_sweep()
    assert (facts["methods"], facts["rhos"], facts["steps"]) == (
        list(METHODS), list(RHOS), list(STEPS)
    )  # fmt: skip
    assert facts["settings"]["lr"] == training.LR
    assert facts["settings"]["stride"] == training.STRIDE
    assert facts["settings"]["dim"] == training.make_problem(0).objective.dim == 1210
    assert set(facts["provenance"]) >= {"samlib", "torch", "seed", "device", "dtype"}
    assert arrays["eigenvalues"].shape == (2, len(RHOS), len(STEPS), TOP)
    assert (arrays["counts"].sum(axis=-1) == 1210).all()
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert (np.diff(arrays["eigenvalues"], axis=-1) <= 0).all()
    assert arrays["eigenvalues"].min() >= 1 - 1e-6  # those of the output's biases
    # The ten largest are in the bins where the counts have them.
    top = np.histogram(arrays["eigenvalues"][1, 3, 20], bin_edges())[0]
    assert (top <= arrays["counts"][1, 3, 20]).all()
    # All runs begin at one point.
    assert all((array[:, :, 0] == array[0, 0, 0]).all() for array in arrays.values())


@pytest.mark.parametrize("method", METHODS)
def test_samlib_computes_again_what_the_file_holds(method: str) -> None:
    """The first checkpoints of two runs of each method, to the rounding of float32 and a little.

    Rounding in another order (another machine, another size of the batch) is amplified by
    training, at first slowly; later runs are chaotic, and are not compared.
    """
    arrays, numbers = read_sweep().arrays, (0, 5)
    problem = training.make_problem(training.SEED)
    x = problem.start.expand(len(numbers), -1)
    for k in range(3):
        if k > 0:
            rhos = [RHOS[j] for j in numbers]
            x = training.advance(problem, method, x, rhos, STEPS[k - 1], STEPS[k], training.SEED)
        for j, point in zip(numbers, x, strict=True):
            if k < 2 and j != 5:
                continue
            found = training.measure(problem, point)
            at = METHODS.index(method), j, k
            for name in training.SCALARS:
                assert found[name] == pytest.approx(arrays[name][at], rel=1e-5), name
            values = found["eigenvalues"]
            np.testing.assert_allclose(values[:TOP], arrays["eigenvalues"][at], rtol=1e-5)
            # An eigenvalue on the edge of a bin may fall to either side.
            counts = np.histogram(values, bin_edges())[0]
            assert np.abs(np.cumsum(counts - arrays["counts"][at])).max() <= 1


def test_what_is_measured_is_what_samlib_calls_by_these_names() -> None:
    problem = training.make_problem(3)
    x = training.advance(problem, "sam", problem.start[None], [0.1], 0, 4, 3)[0]
    found, objective = training.measure(problem, x), problem.objective
    top = samlib.top_eigenpairs(objective, x, k=TOP, rtol=1e-6, progress=False)
    torch.testing.assert_close(torch.from_numpy(found["eigenvalues"][:TOP].copy()), top.values)
    for k, name in ((1, "alignment"), (TOP, "top_alignment")):
        cosine = float(samlib.alignment(objective, x, k=k, rtol=1e-6, progress=False))
        assert found[name] == pytest.approx(cosine, abs=1e-5)
    trace = samlib.trace(objective, x, rtol=0.05, progress=False)
    assert abs(found["trace"] - float(trace.value)) < 4 * float(trace.error)
    assert found["gradient_norm"] == pytest.approx(float(objective.gradient(x).norm()), rel=1e-12)
    quadrature = samlib.spectral_density(objective, x, probes=8, steps=50, progress=False)
    share = (quadrature.weights * (quadrature.nodes > 0.1)).sum(dim=-1)
    error = float(share.std()) / np.sqrt(len(share))
    exact = float((found["eigenvalues"] > 0.1).mean())
    assert abs(float(share.mean()) - exact) < 4 * error + 0.005


def test_an_interrupted_sweep_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(problem: Any, x: torch.Tensor) -> dict[str, Any]:
        return {"loss": float(problem.objective.value(x)), "first": float(x[0])}

    monkeypatch.setattr(training, "measure", quick)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    wanted = list(training.sweep(whole, 0, "one_sam", (0.0, 0.2), (0, 4, 15)))
    interrupted = training.sweep(parts, 0, "one_sam", (0.0, 0.2), (0, 4, 15))
    next(interrupted)
    next(interrupted)
    interrupted.close()
    (parts / "one_sam-seed0-00015.part").write_text("half a file")
    before = {file: file.stat().st_mtime_ns for file in parts.glob("*.npz")}
    assert len(before) == 2
    assert list(training.sweep(parts, 0, "one_sam", (0.0, 0.2), (0, 4, 15))) == wanted
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())


def test_the_integers_of_the_file_have_any_size() -> None:
    from samlib.widgets.spectrum_in_training import _from_leb128

    numbers = np.array([0, 1, 127, 128, 129, 300, 16_383, 16_384, 2**40])
    assert _from_leb128(training._leb128(numbers)) == numbers.tolist()


def test_eigenvalues_outside_of_all_bins_are_refused() -> None:
    row = {"eigenvalues": np.linspace(0, 20, 30), **dict.fromkeys(training.SCALARS, 0.5)}
    with pytest.raises(ValueError, match="eigenvalues reach from 0 to 20"):
        training.pack([[[row]], [[row]]])


def test_the_edge_of_stability_is_where_a_step_of_sam_ceases_to_be_stable() -> None:
    for lr, rho, norm in ((0.5, 0.2, 0.1), (0.5, 0.02, 1e-3), (0.1, 0.5, 2.0)):
        edge = edge_of_stability(lr, rho, norm)
        assert lr * edge * (1 + rho * edge / norm) == pytest.approx(2, rel=1e-12)
        formula = norm / (2 * rho) * (np.sqrt(1 + 8 * rho / (lr * norm)) - 1)
        assert edge == pytest.approx(formula, rel=1e-10)
    assert edge_of_stability(0.5, 0, 0.1) == 4 == pytest.approx(edge_of_stability(0.5, 1e-12, 0.1))


def test_gradient_descent_sits_at_two_over_eta_and_sam_at_its_own_edge() -> None:
    arrays = read_sweep().arrays
    late = slice(STEPS.index(2160), None)
    descent = arrays["eigenvalues"][0, 0, late, 0]
    assert np.abs(descent.mean() - 4) < 0.1
    for j, rho in enumerate(RHOS[1:], start=1):
        norms = arrays["gradient_norm"][0, j, late]
        edges = [edge_of_stability(training.LR["sam"], rho, norm) for norm in norms]
        top = arrays["eigenvalues"][0, j, late, 0]
        assert np.mean(top / edges) == pytest.approx(1, abs=0.1), rho


def test_larger_rho_means_smaller_top_eigenvalue_and_trace() -> None:
    for method in METHODS:
        assert (np.diff(end("trace", method)) < 0).all()
    assert (np.diff(end("eigenvalues", "sam")[:, 0]) < 0).all()
    # λ₁ of 1-SAM is noisy; but ρ ≥ 0.1 makes it half of what it is for SGD.
    top = end("eigenvalues", "one_sam")[:, 0]
    assert (top[RHOS.index(0.1) :] < top[0] / 2).all()
    # 1-SAM presses the trace, SAM does so far less.
    trace = {method: end("trace", method) for method in METHODS}
    two = RHOS.index(0.2)
    assert trace["one_sam"][two] < 0.5 * trace["one_sam"][0]
    assert 0.7 * trace["sam"][0] < trace["sam"][two] < 0.85 * trace["sam"][0]


def test_the_trace_of_one_sam_is_lower_at_the_same_training_loss_too() -> None:
    arrays = read_sweep().arrays
    loss, trace = arrays["loss"][1], arrays["trace"][1]
    falling = -np.minimum.accumulate(loss[0])
    shares = {}
    for rho in (0.1, 0.15, 0.2, 0.3):
        j = RHOS.index(rho)
        earlier = np.interp(-loss[j, -1], falling, trace[0])  # SGD's, when it had this loss
        shares[rho] = trace[j, -1] / earlier
    assert max(shares.values()) < 0.9
    assert shares[0.2] == pytest.approx(0.8, abs=0.03)


def test_another_seed_changes_as_much_as_is_said() -> None:
    for run, pairs in SpectrumInTraining().provenance["other_seed"]["at_the_end"].items():
        for name in ("top_eigenvalue", "trace"):
            first, second = pairs[name]
            if "one_sam" not in run or "0.2" in run:
                assert abs(second / first - 1) < 0.031, (run, name)
        accuracy = pairs["test_accuracy"]
        assert abs(accuracy[0] - accuracy[1]) < 0.0245, run
    top = SpectrumInTraining().provenance["other_seed"]["at_the_end"]["one_sam, rho = 0"]
    assert [round(value, 1) for value in top["top_eigenvalue"]] == [4.3, 3.3]


# ── Page and Python ──────────────────────────────────────────────────────────────────────────────


def test_the_page_decodes_what_python_stored(engine: Page) -> None:
    sent = SpectrumInTraining()._config["sweep"]
    got = engine.evaluate(
        """async (sweep) => {
          const { readSweep } = await import("/samlib-widgets.esm.js");
          const { tables, edges, at } = readSweep(sweep);
          const of = (table) => [Array.from(table.values), table.size];
          const some = [["trace", "sam", 3, 7], ["loss", "one-sam", 7, 40],
            ["trace", "gradient-descent", 5, 11], ["eigenvalues", "sam", 2, 39, 9],
            ["counts", "one-sam", 1, 20, 31]].map((where) => at(...where));
          return { tables: Object.fromEntries(Object.entries(tables).map(([k, t]) => [k, of(t)])),
            edges, some };
        }""",
        sent,
    )
    arrays = read_sweep().arrays
    assert set(got["tables"]) == set(arrays)
    for name, (values, size) in got["tables"].items():
        assert values == arrays[name].ravel().tolist(), name
        assert size == (arrays[name].shape[3] if arrays[name].ndim > 3 else 1)
    np.testing.assert_allclose(got["edges"], bin_edges(), rtol=1e-12)
    assert got["some"] == [
        arrays["trace"][0, 3, 7], arrays["loss"][1, 7, 40], arrays["trace"][0, 0, 11],
        arrays["eigenvalues"][0, 2, 39, 9], arrays["counts"][1, 1, 20, 31],
    ]  # fmt: skip


def test_the_page_has_pythons_edge_of_stability(engine: Page) -> None:
    cases = [(0.5, 0.0, 0.1), (0.5, 0.2, 0.126), (0.05, 0.5, 1e-6), (1.0, 1e-9, 3.0)]
    got = engine.evaluate(
        """async (cases) => {
          const { edgeOfStability } = await import("/samlib-widgets.esm.js");
          return cases.map((each) => edgeOfStability(...each));
        }""",
        cases,
    )
    np.testing.assert_allclose(got, [edge_of_stability(*case) for case in cases], rtol=1e-12)


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
    svg = page.locator(".samlib-panel svg").nth(panel)
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    page.evaluate(DRAWN)


def test_dragging_across_a_panel_chooses_rho_or_the_step(page: Page) -> None:
    for panel in (0, 1):
        drag_to(page, panel, 0.98)
        assert fields(page) == {"rho": "0.5", "step": "6000"}
        drag_to(page, panel, 0.05)
        assert fields(page) == {"rho": "0", "step": "6000"}
    for panel in range(2, 7):
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
    headings = page.locator(".samlib-heading").all_inner_texts()
    assert f"The ten largest eigenvalues of {method}" in headings
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
    page.locator("[data-control='link']").click()
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
        assert re.match(r"At step \d+ with ρ = [\d.]+: gradient descent has λ₁ = ", readout(page))
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
