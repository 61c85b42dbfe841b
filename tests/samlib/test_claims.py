"""samlib.claims: what holds passes, everything else raises, and it displays itself."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samlib.claims import MIME_TYPE, Claim, ClaimError, check

SAID = {"source": "Theorem 1", "statement": "It is so."}


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 1), st.floats(0, 10))
def test_a_claim_holds_exactly_when_it_is_within_its_tolerance(
    predicted: float, measured: float, rtol: float, atol: float
) -> None:
    holds = abs(measured - predicted) <= atol + rtol * abs(predicted)
    arguments = {"predicted": predicted, "measured": measured, "rtol": rtol, "atol": atol}
    if holds:
        assert check("a", **arguments, **SAID).holds  # type: ignore[arg-type]
    else:
        with pytest.raises(ClaimError, match="FAILS"):
            check("a", **arguments, **SAID)  # type: ignore[arg-type]


def test_every_entry_of_an_array_must_agree() -> None:
    predicted = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert check("a", predicted=predicted, measured=[1.0, 2.0, 3.001], rtol=1e-3, **SAID).holds
    with pytest.raises(ClaimError, match=r"\[1.0, 2.0, 3.0\] against \[1.0, 2.0, 3.1\]"):
        check("a", predicted=predicted, measured=np.array([1.0, 2.0, 3.1]), rtol=1e-3, **SAID)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_never_pass(bad: float) -> None:
    for predicted, measured in ((1.0, bad), (bad, 1.0), (bad, bad), ([1.0, bad], [1.0, bad])):
        with pytest.raises(ClaimError):
            check("a", predicted=predicted, measured=measured, rtol=1.0, atol=1e9, **SAID)


def test_small_integer_types_do_not_wrap_around() -> None:
    with pytest.raises(ClaimError):
        check("a", predicted=np.int8(127), measured=np.int8(-128), atol=1, **SAID)
    two, three = (torch.tensor(n, dtype=torch.uint8) for n in (2, 3))
    assert check("a", predicted=three, measured=two, atol=1, **SAID).holds


def test_booleans_are_compared_exactly_and_need_no_tolerance() -> None:
    claim = check("a", predicted=True, measured=torch.tensor(2.0) > 1, **SAID)
    assert (claim.predicted, claim.measured, claim.tolerance) == ("yes", "yes", "exact")
    assert (
        check("a", predicted=[True, False], measured=[True, False], **SAID).predicted == "yes, no"
    )
    with pytest.raises(ClaimError):
        check("a", predicted=True, measured=False, rtol=1.0, atol=1.0, **SAID)
    with pytest.raises(ClaimError):
        check("a", predicted=[True, True], measured=[True, False], **SAID)


@pytest.mark.parametrize(
    "arguments",
    [
        {"predicted": 1.0, "measured": 1.0},
        {"predicted": 1.0, "measured": 1.0, "rtol": -0.1},
        {"predicted": 1.0, "measured": 1.0, "atol": math.nan},
        {"predicted": 1.0, "measured": 2.0, "rtol": math.inf},
        {"predicted": 1.0, "measured": [1.0, 1.0], "rtol": 0.1},
        {"predicted": [1.0, 1.0], "measured": [[1.0, 1.0]], "rtol": 0.1},
        {"predicted": [], "measured": [], "rtol": 0.1},
        {"predicted": True, "measured": 1.0, "rtol": 0.1},
        {"predicted": 1, "measured": True, "rtol": 0.1},
        {"predicted": "one", "measured": "one", "rtol": 0.1},
        {"predicted": None, "measured": None, "rtol": 0.1},
        {"predicted": 1j, "measured": 1j, "rtol": 0.1},
    ],
)
def test_a_malformed_claim_is_an_error_of_its_author(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"predicted|tol"):
        check("a", **arguments, **SAID)  # type: ignore[arg-type]


@pytest.mark.parametrize("identifier", ["", "A", "a b", "-a", ".a", "a_b", "a\n", "a<b", "é"])
def test_an_identifier_must_fit_into_an_anchor(identifier: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        check(identifier, predicted=1, measured=1, rtol=0.1, **SAID)
    assert check("thm-4.8-norm", predicted=1, measured=1, rtol=0.1, **SAID).holds


@pytest.mark.parametrize(
    ("predicted", "tolerances", "shown", "tolerance"),
    [
        (1.23456789, {"rtol": 1e-3}, "1.235", "relative 0.001"),
        (1.23456789, {"atol": 1e-3}, "1.235", "absolute 0.001"),
        (1.23456789, {"rtol": 0.0, "atol": 1e-2}, "1.23", "relative 0, absolute 0.01"),
        (1e-9, {"atol": 1e-6}, "0", "absolute 1e-06"),
        (-1e-9, {"atol": 1e-6}, "0", "absolute 1e-06"),
        (12, {"atol": 0}, "12", "exact"),
        (-0.9, {"atol": 0.2}, "−0.9", "absolute 0.2"),
        (0.04, {"atol": 0.1}, "0.0", "absolute 0.1"),
        (123456.789, {"rtol": 0.5}, "1.2e+05", "relative 0.5"),
        ([1, 2, 3], {"rtol": 1e-2}, "1.00, 2.00, 3.00", "relative 0.01"),
        (range(8), {"atol": 0.1}, "0.0, 1.0, 2.0, 3.0, 4.0, 5.0, … (8 values)", "absolute 0.1"),
    ],
)
def test_values_are_shown_to_the_precision_of_the_tolerance(
    predicted: object, tolerances: dict[str, float], shown: str, tolerance: str
) -> None:
    values = np.asarray(predicted)
    claim = check("a", predicted=values, measured=values, **tolerances, **SAID)
    assert (claim.predicted, claim.measured, claim.tolerance) == (shown, shown, tolerance)


def test_what_is_shown_does_not_depend_on_the_last_bits() -> None:
    claims = [
        check("a", predicted=1.0, measured=0.123456 + noise, atol=1.0, rtol=1e-3, **SAID)
        for noise in (0.0, 1e-12, -1e-12)
    ]
    assert claims[0] == claims[1] == claims[2]


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_claim_displays_as_text_as_html_and_as_data() -> None:
    statement = 'x < y & "so" <script>alert(1)</script>'
    claim = check(
        "thm-1", predicted=2.0, measured=2.0001, rtol=1e-3, source="<b>1</b>", statement=statement
    )
    bundle = claim._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/plain", "text/html", MIME_TYPE}
    assert MIME_TYPE == "application/vnd.samlib.claim+json"
    assert bundle["text/plain"] == repr(claim)
    assert bundle["text/plain"] == (
        "thm-1 holds: predicted 2.000, measured 2.000 (relative 0.001) [<b>1</b>]"
    )
    assert bundle[MIME_TYPE] == {
        "identifier": "thm-1",
        "statement": statement,
        "source": "<b>1</b>",
        "predicted": "2.000",
        "measured": "2.000",
        "tolerance": "relative 0.001",
        "holds": True,
    }
    page = Text()
    page.feed(bundle["text/html"])
    assert page.ids == ["claim-thm-1"]
    assert set(page.tags) == {"div", "p", "span", "dl", "dt", "dd"}, "text is escaped"
    assert statement in "".join(page.text)


def test_a_claim_that_fails_says_so_in_every_form() -> None:
    claim = Claim("a", "It is so.", "eq. 1", "1", "2", "exact", False)
    assert "FAILS" in repr(claim)
    assert "Claim fails" in claim._repr_html_()
