"""samlib.plotting: the book's palette."""

from __future__ import annotations

import matplotlib as mpl
import pytest

from samlib import plotting


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
