"""The sweep over tied networks: what the file holds, and that samlib computes it again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from samlib.sweeps import compute_tied_networks as computing
from samlib.sweeps import tied_networks
from samlib.sweeps.tied_networks import SETTINGS, name_of

NETWORK = ["inputs", "hidden", "points", "seed"]
TIES, DISTANCES, FACTS = tied_networks()


def largest(flow: str, lr: float) -> pd.Series[float]:
    """The largest distance up to τ = 6 of each network."""
    chosen = DISTANCES[(DISTANCES["lr"] == lr) & (DISTANCES["time"] <= 6)]
    return chosen.groupby(NETWORK)[flow].max()


def test_the_file_holds_every_case_at_every_rate() -> None:
    cases = [name_of(case._asdict()) for case in computing.CASES]
    assert DISTANCES[NETWORK].drop_duplicates().to_dict("records") == cases
    assert TIES[NETWORK].drop_duplicates().to_dict("records") == cases
    assert set(zip(DISTANCES["lr"], DISTANCES["rho"], strict=True)) == set(SETTINGS)
    assert len(DISTANCES) == len(SETTINGS) * sum(len(case.times) for case in computing.CASES)
    assert FACTS["provenance"]["rtol"] == computing.RTOL
    assert not DISTANCES.isna().any(axis=None)


def test_all_are_tied_before_six_some_by_threes_and_one_parts() -> None:
    assert (TIES.groupby(NETWORK)["begin"].min() < 6).all()
    assert len(TIES[["inputs", "hidden", "points"]].drop_duplicates()) >= 3
    assert TIES["multiplicity"].max() == 3
    ends = TIES.groupby(NETWORK)["end"].max()
    assert (ends < DISTANCES.groupby(NETWORK)["time"].max()).any()


def test_the_flow_with_its_corrections_is_within_per_cents_of_sam() -> None:
    # Where it is not, the cycle is lopsided (|ε| near 1 or above), or λ₂ is close long before.
    with_lr, with_both = largest("with_lr", 0.05), largest("with_both", 0.05)
    assert len(with_lr) == 23
    assert (with_lr < 0.02).sum() == 21
    assert (with_both < 0.01).sum() == 20


def test_both_halved_halve_the_distance_to_the_flow_without_corrections() -> None:
    coarse, middle, fine = (largest("flow", lr) for lr, _ in SETTINGS)
    assert 1.8 < (coarse / middle).median() < 2.2
    assert 1.8 < (middle / fine).median() < 2.2


@pytest.mark.slow  # rarely breaks
def test_samlib_computes_again_what_the_file_holds(tmp_path: Path) -> None:
    # To a tenth of what the gap swings in a tie, which rounding may shift.
    case = computing.Case(2, 5, 3, 24)
    found = computing.kept(tmp_path, case)
    again = computing.kept(tmp_path, case)
    assert found == again
    stored = DISTANCES[(DISTANCES["points"] == 3) & (DISTANCES["seed"] == 24)]
    for i, (lr, _) in enumerate(SETTINGS):
        rows = stored[stored["lr"] == lr]
        for name in ("flow", "with_lr", "with_both"):
            assert found["distances"][name][i] == pytest.approx(rows[name].tolist(), abs=1e-3)
