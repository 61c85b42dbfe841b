"""SAM and the limiting flow where eigenvalues of networks tie by threes, and where they part."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from samlib import problems
from samlib.flow import FlowPath, limiting_flow
from samlib.networks import InterpolatingNetwork
from tests.samlib.test_ties import Drifting

LOOSE = {"rtol": 1e-4, "atol": 1e-5}  # far below the distances that are measured


@cache
def network(inputs: int, hidden: int, points: int, seed: int) -> InterpolatingNetwork:
    return problems.interpolating_network(inputs=inputs, hidden=hidden, points=points, seed=seed)


def later(shape: tuple[int, int, int], seed: int, time: float) -> Drifting:
    """A network, and where the flow from its start is at a time."""
    objective, start = network(*shape, seed)
    flow = limiting_flow(objective, start, "top_eigenvalue", [time], **LOOSE)
    return Drifting(objective, flow.x[0])


def halved(drifting: Drifting, times: list[float], lr: float, rho: float) -> list[list[float]]:
    """Distances from SAM: of the flow at lr, rho and at half of both, of that with lr at half."""
    plain, at_rate = drifting.flow(times, **LOOSE), drifting.flow(times, lr=lr / 2, **LOOSE)
    return [
        drifting.distance(plain, lr, rho).tolist(),
        drifting.distance(plain, lr / 2, rho / 2).tolist(),
        drifting.distance(at_rate, lr / 2, rho / 2).tolist(),
    ]


def test_sam_follows_the_flow_where_a_third_eigenvalue_joins_two() -> None:
    times = [8.0, 13.5, 16.0]
    drifting = later((5, 12, 3), 43, 0.0)
    flow = drifting.flow(times, **LOOSE)
    assert flow.multiplicity.tolist() == [2, 3, 3]
    assert flow.mixture is not None
    shares = torch.linalg.eigvalsh(flow.mixture[-1])
    assert float(shares.min()) > 0.05, "the third has its share"
    coarse, fine, at_rate = halved(drifting, times, 0.16, 0.06)
    for before, after in zip(coarse, fine, strict=True):
        assert before / after == pytest.approx(2, rel=0.25), "of first order in η"
    assert max(at_rate) < 0.01


def test_sam_follows_the_flow_where_eigenvalues_part_again() -> None:
    times = [1.0, 4.0, 8.0]
    drifting = later((2, 5, 3), 33, 4.0)
    flow = drifting.flow(times, **LOOSE)
    assert [tie.multiplicity for tie in flow.ties] == [2]
    assert flow.ties[0].end == pytest.approx(1.71, abs=0.02)
    assert flow.multiplicity.tolist() == [2, 1, 1]
    assert float(flow.eigengap[0]) < 1e-4
    assert float(flow.eigengap[-1]) > 0.03, "they do part"
    coarse, fine, at_rate = halved(drifting, times, 0.12, 0.05)
    for before, after in zip(coarse, fine, strict=True):
        assert before / after == pytest.approx(2, rel=0.25), "of first order in η"
    assert max(at_rate) < 0.01


def test_no_step_of_a_loose_integrator_passes_over_a_tie() -> None:
    # Next to the tie the gap stays as large as the errors of the steps. That is above gap_rtol: by
    # that alone the tie would be missed, with errors of 1e-2.
    objective, start = network(2, 5, 3, 33)

    def flow(rtol: float) -> FlowPath:
        times = [2.0, 4.0, 6.0]
        return limiting_flow(objective, start, "top_eigenvalue", times, rtol=rtol, atol=rtol / 10)

    found, exact = flow(1e-3), flow(1e-6)
    assert found.multiplicity.tolist() == exact.multiplicity.tolist() == [2, 2, 1]
    torch.testing.assert_close(found.x, exact.x, rtol=0, atol=1e-3)
