"""The picture of layers: it shows the numbers it was given, of every size and sign."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

import samlib
from samlib import plotting
from samlib.estimate import Estimate
from tests.samlib.arguments.results import layers

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _no_figures_left() -> Iterator[None]:
    yield
    plt.close("all")


def made(traces: list[float], error: float = 0.0, **changes: object) -> samlib.Layers:
    """A result with these traces, and everything else alike in all layers."""
    n = len(traces)
    value, ones = torch.tensor(traces), torch.ones(n)
    whole = replace(layers().whole, values=torch.tensor([3.0, 1.0]))
    found = replace(
        layers(),
        names=tuple(f"model.part.{i}" for i in range(n)),
        gradient_shares=ones / n,
        top_eigenvalues=Estimate(2 * ones, 0.1 * ones, 9, True),
        traces=Estimate(value, error * ones, 9, True),
        eigenvector_shares=Estimate(ones / n, 0.01 * ones, 9, True),
        whole=whole,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def marks(panel: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """What is drawn under each label of the legend: where, and in which rows."""
    return {
        str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata()))  # type: ignore[arg-type]
        for line in panel.lines
    }


def test_there_is_a_row_for_each_layer_from_the_top_down() -> None:
    found = made([1.0, 2.0, 3.0], error=0.5)
    axes = plotting.plot_layers(found)
    assert len(axes) == 3
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["0", "1", "2"]
    bottom, top = axes[0].get_ylim()
    assert top < 0 < 2 < bottom
    assert marks(axes[1]) == {"trace of the layer": ([1, 2, 3], [0, 1, 2])}
    errors = [path.vertices[:, 0].tolist() for path in axes[1].collections[0].get_paths()]
    assert errors == [[0.5, 1.5], [1.5, 2.5], [2.5, 3.5]]
    assert axes[1].get_xscale() == "linear"
    assert marks(axes[0])["whole"][0] == [3, 3]
    left, right = axes[0].get_xlim()
    assert left < 2 < 3 < right
    shares = marks(axes[2])
    assert shares["share of $v_1$"][0] == pytest.approx([1 / 3] * 3)
    assert {to_hex(line.get_color()).upper() for line in axes[2].lines} == {
        plotting.COLOURS["ascent"],
        plotting.COLOURS["worst"],
    }


def test_what_spans_much_is_logarithmic_and_shows_what_has_no_logarithm() -> None:
    panel = plotting.plot_layers(made([1e3, 1.0, -0.5, 0.0, 1e-9, math.nan], error=0.4))[1]
    assert panel.get_xscale() == "log"
    drawn = marks(panel)
    assert drawn["trace of the layer"][0][:2] == pytest.approx([1e3, 1.0])
    assert drawn["negative"] == (pytest.approx([0.5]), [2])
    edge, rows = drawn["smaller or zero"]
    assert rows == [3, 4]
    assert edge == pytest.approx([1e-3, 1e-3])  # six decades below the largest
    assert panel.get_xlim()[0] < 1e-3
    assert panel.get_xlim()[1] > 1e3
    hollow = next(line for line in panel.lines if line.get_label() == "negative")
    assert hollow.get_markerfacecolor() == "none"


def test_the_whole_is_within_a_logarithmic_axis_too() -> None:
    found = made([1.0] * 2)
    tops = Estimate(torch.tensor([1e-4, 1.0]), torch.zeros(2), 9, True)
    whole = replace(found.whole, values=torch.tensor([50.0, 1.0]))
    panel = plotting.plot_layers(replace(found, top_eigenvalues=tops, whole=whole))[0]
    assert panel.get_xscale() == "log"
    assert panel.get_xlim()[1] > 50
    lost = replace(found.whole, values=torch.tensor([math.nan, math.nan]))
    assert "whole" not in marks(plotting.plot_layers(replace(found, whole=lost))[0])


def test_sharpness_has_a_panel_of_its_own() -> None:
    found = made([1.0, 2.0])
    value = torch.tensor([0.3, 0.4])
    rises = samlib.Sharpness(value, None, 0 * value, "exact", "ascent_direction", 4)
    axes = plotting.plot_layers(replace(found, sharpness=rises))
    assert len(axes) == 4
    assert marks(axes[3])[r"$R^{\mathrm{Asc}}_\rho$ of the layer"][0] == pytest.approx([0.3, 0.4])


def test_of_long_names_the_end_is_shown() -> None:
    names = ("model.a.weight", f"model.{'b.' * 30}attention.weight", "model.c")
    axes = plotting.plot_layers(made([1.0, 2.0, 3.0], names=names))
    shown = [text.get_text() for text in axes[0].get_yticklabels()]
    assert shown[0] == "a.weight"
    assert shown[1].startswith("…b.b.")
    assert shown[1].endswith("b.attention.weight")
    assert len(shown[1]) <= 45
    assert shown[2] == "c"
    few, many = (plotting.plot_layers(made([1.0] * n))[0].figure for n in (16, 50))
    assert many.get_figheight() < 50 / 16 * few.get_figheight()
