"""SAM beside its central flow on a network of digits whose eigenvalues it ties."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

# What is computed: see compute_tied_digits.py, which writes these files.
PATHS = Path(__file__).parent / "data" / "tied_digits.csv"
SHARES = Path(__file__).parent / "data" / "tied_digits_shares.csv"

NUMBER = 12  # of eigenvalues


class TiedDigits(NamedTuple):
    """A perceptron of 2,410 weights on 100 digits, trained by gradient descent, then by SAM.

    Attributes
    ----------
    paths
        A row per ``path``, ``lr``, ``rho`` and slow time ``tau``: ``loss`` and ``lambda1`` to
        ``lambda12`` there, and ``distance`` from SAM over the way that SAM has come. The path
        "SAM" is the mean of two consecutive iterates, "central flow" that of
        :func:`samlib.flow.central_flow`, and the others are flows of other mixtures: "λ₁ alone",
        as if it were not tied, "equal shares" for all eigenvalues within a hundredth of λ₁, and
        "mean of ten" for the ten largest all the time.
    shares
        A row per ``path``, ``lr`` and ``rho``: the eigenvalues of E uuᵀ in the tied eigenspace at
        the last time, measured over some thousand steps of SAM, and of Q in the central flow.
    """

    paths: pd.DataFrame
    shares: pd.DataFrame


def tied_digits() -> TiedDigits:
    """Return how SAM ties the eigenvalues of a network of digits, and what flows say of it.

    Computed by ``python -m samlib.sweeps.compute_tied_digits``.

    Returns
    -------
    TiedDigits
        Two tables.

    Examples
    --------
    >>> from samlib.sweeps import tied_digits
    >>> paths, _ = tied_digits()
    >>> end = paths[(paths["tau"] == 20) & (paths["lr"] == 0.1) & (paths["rho"] == 0.1)]
    >>> values = end.set_index("path").loc[["SAM", "central flow"], "lambda1"]
    >>> bool(abs(values["SAM"] / values["central flow"] - 1) < 0.02)
    True
    """
    return TiedDigits(pd.read_csv(PATHS), pd.read_csv(SHARES))
