"""samlib.plotting: the book's palette, and figures that show the numbers they were given."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_hex

from samlib import limiting_flow, plotting, simulate
from samlib.curvature import SpectralDensity
from samlib.dynamics.rules import SAM
from samlib.landscapes import FourDimensional, Quadratic
from samlib.training import History, Reading

mpl.use("Agg")


def test_colours_are_the_books_palette() -> None:
    assert dict(plotting.COLOURS) == {
        "worst": "#D55E00",
        "ascent": "#0072B2",
        "average": "#009E73",
        "sam": "#CC79A7",
        "gradient_descent": "#666666",
        "one_sam": "#E69F00",
        "eigenvector": "#000000",
    }


def test_the_palette_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        plotting.COLOURS["sam"] = "#000000"  # type: ignore[index]


def test_rules_differ_by_line_style_as_well_as_by_colour() -> None:
    assert set(plotting.LINE_STYLES) == {"sam", "gradient_descent", "one_sam"}
    assert len(set(plotting.LINE_STYLES.values())) == 3


def test_the_style_becomes_matplotlibs_default() -> None:
    with mpl.rc_context():
        mpl.rcdefaults()
        before = mpl.rcParams["axes.prop_cycle"]
        plotting.use_book_style()
        assert mpl.rcParams["axes.prop_cycle"] != before
        colours = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
        assert colours == list(plotting.COLOURS.values())
        assert mpl.rcParams["axes.spines.top"] is False


# ---------------------------------------------------------------------------------------- figures
@pytest.fixture(autouse=True)
def _no_figures_left() -> Iterator[None]:
    yield
    plt.close("all")


def history(epochs: int = 3, steps_per_epoch: int = 1, **readings: Reading) -> History:
    steps = epochs * steps_per_epoch
    return History(
        torch.linspace(2.0, 1.0, steps, dtype=torch.float64),
        torch.arange(steps) // steps_per_epoch + 1,
        readings,
        "complete",
    )


def reading(*values: float, error: float | None = None) -> Reading:
    steps = torch.arange(len(values))
    errors = None if error is None else torch.full((len(values),), error)
    return Reading(steps, torch.tensor(values), errors)


def test_a_history_has_a_panel_for_each_unit() -> None:
    made = history(
        top_eigenvalue=reading(1.0, 2.0, error=0.1),
        worst_direction=reading(3.0, 2.0),
        average_direction=reading(2.0, 1.0),
        test_accuracy=reading(0.1, 0.9),
        products=reading(4.0, 5.0),
        my_own_number=reading(1.0, -1.0),
    )
    panels = plotting.plot_history(made)
    labels = [panel.get_ylabel() for panel in panels]
    assert labels == ["$L$", r"$\lambda_1$", r"$R_\rho$", "accuracy", "my own number"]
    assert [panel.get_xlabel() for panel in panels] == ["", "", "", "", "step"]
    assert panels[1].get_legend() is None, "the axis says it"
    lines = {line.get_label(): line for line in panels[2].lines}
    assert to_hex(lines[r"$R^{\mathrm{Max}}$"].get_color()).upper() == plotting.COLOURS["worst"]
    assert to_hex(lines[r"$R^{\mathrm{Avg}}$"].get_color()).upper() == plotting.COLOURS["average"]
    styles = {line.get_linestyle() for line in lines.values()}
    assert len(styles) == 2, "not by colour alone"
    assert panels[2].get_legend() is not None
    assert [text.get_text() for text in panels[3].get_legend().get_texts()] == ["accuracy, test"]
    assert panels[3].get_ylim()[1] == pytest.approx(1.0, abs=0.05)


def test_a_history_shows_its_numbers_and_their_errors() -> None:
    made = history(trace=reading(5.0, 4.0, 3.0, error=0.5))
    loss, trace = plotting.plot_history(made)
    assert loss.lines[0].get_xdata().tolist() == [0, 1, 2]
    assert loss.lines[0].get_ydata().tolist() == made.losses.tolist()
    assert trace.lines[0].get_ydata().tolist() == [5.0, 4.0, 3.0]
    (band,) = trace.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (2.5, 5.5)


def test_batches_are_faint_and_epochs_are_not() -> None:
    made = history(epochs=2, steps_per_epoch=4)
    panel = plotting.plot_history(made)
    steps, epochs = panel.lines
    assert steps.get_ydata().tolist() == made.losses.tolist()
    assert steps.get_alpha() < 1
    assert epochs.get_xdata().tolist() == [1.5, 5.5], "in the middle of its steps"
    assert epochs.get_ydata().tolist() == made.epoch_losses.tolist()


def test_two_histories_share_axes() -> None:
    _, ax = plt.subplots()
    for name in ("sam", "gradient_descent"):
        made = history(top_eigenvalue=reading(1.0, 2.0))
        drawn = plotting.plot_history(
            made, names=["top_eigenvalue"], ax=ax, color=plotting.COLOURS[name], label=name
        )
        assert drawn is ax
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["sam", "gradient_descent"]
    assert len(plt.get_fignums()) == 1


def test_what_spans_decades_gets_a_logarithmic_axis() -> None:
    wide, narrow, negative = (
        plotting.plot_history(history(trace=reading(*values)), names=["trace"]).get_yscale()
        for values in ((1.0, 100.0), (1.0, 2.0), (-1.0, 100.0))
    )
    assert (wide, narrow, negative) == ("log", "linear", "linear")


def test_a_plot_leaves_matplotlibs_defaults_alone() -> None:
    with mpl.rc_context():
        mpl.rcdefaults()
        before = dict(mpl.rcParams)
        plotting.plot_history(history())
        assert dict(mpl.rcParams) == before


def test_plots_refuse_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="names must be among loss, trace; got 'lambda'"):
        plotting.plot_history(history(trace=reading(1.0)), names=["lambda"])
    with pytest.raises(ValueError, match="nothing to draw"):
        plotting.plot_history(history(epochs=0))
    run = simulate(Quadratic([2.0, 1.0]), SAM(0.1, 0.1), torch.ones(2), steps=3)
    with pytest.raises(ValueError, match="name must be among x1, x2, loss, alignment; got 'x3'"):
        plotting.plot_trajectory(run, "x3")


def test_a_spectral_density_is_drawn_as_it_is() -> None:
    grid = torch.linspace(-1.0, 4.0, 101, dtype=torch.float64)
    height = torch.exp(-20 * grid**2) + 0.001 * torch.exp(-20 * (grid - 3) ** 2)
    empty = torch.empty(1, 0)
    density = SpectralDensity(grid, height, height / 10, empty, empty, width=0.1, products=0)
    panel = plotting.plot_spectral_density(density)
    (line,) = panel.lines
    assert line.get_xdata().tolist() == density.grid.tolist()
    shown = density.density > panel.get_ylim()[0]
    drawn = torch.as_tensor(line.get_ydata())
    torch.testing.assert_close(drawn[shown], density.density[shown])
    assert panel.get_yscale() == "log"
    assert panel.get_ylim()[1] > float(density.density.max())
    (band,) = panel.collections
    assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(1.1 * float(height.max()))


def test_a_trajectory_is_drawn_run_by_run() -> None:
    rho = torch.linspace(0.01, 0.3, 9)
    run = simulate(Quadratic([2.0, 1.0]), SAM(0.1, rho), torch.ones(2), steps=20, every=5)
    panel = plotting.plot_trajectory(run, "loss")
    assert len(panel.lines) == 9
    for line, series in zip(panel.lines, run.loss, strict=True):
        assert line.get_xdata().tolist() == [0, 5, 10, 15, 20]
        assert line.get_ydata().tolist() == series.tolist()
    texts = [text.get_text() for text in panel.get_legend().get_texts()]
    assert len(texts) == 6, "no more than a legend can hold"
    assert texts[0] == r"$\rho = 0.01$"
    assert texts[-1] == r"$\rho = 0.3$"
    assert len({to_hex(line.get_color()) for line in panel.lines}) == 9

    _, ax = plt.subplots()
    single = simulate(Quadratic([2.0, 1.0]), SAM(0.1, 0.1), torch.ones(2), steps=4)
    plotting.plot_trajectory(single, "x2", ax=ax, color=plotting.COLOURS["sam"], label="SAM")
    assert ax.lines[0].get_ydata().tolist() == single.x[0, :, 1].tolist()
    assert ax.get_ylabel() == "$x_{2}$"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["SAM"]
    assert (
        plotting.plot_trajectory(run, "loss").lines[0].get_ydata().tolist() == run.loss[0].tolist()
    )


def test_a_limiting_flow_is_drawn_over_its_time() -> None:
    start = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64)
    flow = limiting_flow(FourDimensional(), start, "trace", [0.0, 0.25, 0.5])
    panel = plotting.plot_limiting_flow(flow)
    assert panel.lines[0].get_xdata().tolist() == [0, 0.25, 0.5]
    assert panel.lines[0].get_ydata().tolist() == flow.trace.tolist()
    assert to_hex(panel.lines[0].get_color()).upper() == plotting.COLOURS["average"]
    other = plotting.plot_limiting_flow(flow, name="top_eigenvalue", ax=panel, label="top")
    assert other is panel
    assert panel.lines[1].get_ydata().tolist() == flow.top_eigenvalue.tolist()
    with pytest.raises(ValueError, match="name must be among top_eigenvalue"):
        plotting.plot_limiting_flow(flow, name="loss")
    own = limiting_flow(FourDimensional(), start, lambda x: x[0], [0.0, 1.0])
    own = plotting.plot_limiting_flow(own)
    assert own.lines[0].get_ydata() == pytest.approx([0.5, 0.0], abs=1e-12)
    assert own.get_ylabel() == "$S$"
