"""SAM beside the flow of λ₁ on networks whose λ₁ is soon tied, as computed beforehand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

# What is computed: see compute_tied_networks.py, which writes this file.
DATA = Path(__file__).parent / "data" / "tied_networks.json"

# The flows that SAM is compared with, and which options of limiting_flow they have.
FLOWS: Mapping[str, tuple[str, ...]] = {"flow": (), "with_lr": ("lr",), "with_both": ("lr", "rho")}

# η and ρ, both halved, both quartered. ρ/η is always the same, so both errors are of order η.
SETTINGS = ((0.1, 0.05), (0.05, 0.025), (0.025, 0.0125))


class TiedNetworks(NamedTuple):
    """The sweep over tied networks.

    A network is known by four columns, ``inputs``, ``hidden``, ``points`` and ``seed``: the
    arguments of :func:`samlib.problems.interpolating_network`.

    Attributes
    ----------
    ties
        A row per tie of the flow without ``lr`` up to the network's last time: ``begin`` and
        ``end`` in slow time τ, and ``multiplicity``. A tie that lasts longer ends at that time.
    distances
        A row per network, ``lr``, ``rho`` and ``time`` τ: ‖Φ(SAM(τ)) − X(τ)‖/‖X(τ) − X(0)‖ from
        three flows X, ``flow`` without the options, ``with_lr``, ``with_both`` for lr and rho.
        ``lopsidedness`` is that of SAM's two-cycle at X(0), by its formula, without its sign.
    facts
        Where the numbers come from.
    """

    ties: pd.DataFrame
    distances: pd.DataFrame
    facts: Mapping[str, Any]


def tied_networks() -> TiedNetworks:
    """Return how far SAM is from the flow of λ₁ through ties, for many networks.

    Computed by ``python -m samlib.sweeps.compute_tied_networks``. SAM and the flows set out from
    one point, 1e-3 times a standard normal vector from Φ of the network's start. Distances are
    relative to how far the flow has come.

    Returns
    -------
    TiedNetworks
        Two tables, and where they come from.

    Examples
    --------
    >>> from samlib.sweeps import tied_networks
    >>> ties, distances, _ = tied_networks()
    >>> int(ties["multiplicity"].max())
    3
    >>> fine = distances[(distances["lr"] == 0.05) & (distances["time"] == 4)]
    >>> bool(fine["with_both"].median() < fine["with_lr"].median() < fine["flow"].median())
    True
    """
    facts = json.loads(DATA.read_text(encoding="utf8"))
    networks = facts.pop("networks")
    ties = [
        {**name_of(network), **dict(zip(("begin", "end", "multiplicity"), tie, strict=True))}
        for network in networks
        for tie in network["ties"]
    ]
    distances = [row for network in networks for row in _distances(network)]
    return TiedNetworks(pd.DataFrame(ties), pd.DataFrame(distances), facts)


def name_of(network: Mapping[str, Any]) -> dict[str, int]:
    """The columns by which a network is known."""
    return {name: network[name] for name in ("inputs", "hidden", "points", "seed")}


def _distances(network: Mapping[str, Any]) -> list[dict[str, float]]:
    return [
        {
            **name_of(network),
            "lr": lr,
            "rho": rho,
            "time": time,
            **{flow: network["distances"][flow][i][j] for flow in FLOWS},
            "lopsidedness": network["lopsidedness"][i],
        }
        for i, (lr, rho) in enumerate(SETTINGS)
        for j, time in enumerate(network["times"])
    ]
