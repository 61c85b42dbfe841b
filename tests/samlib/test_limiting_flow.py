"""samlib.limiting_flow: against closed forms, an independent integration and the rules."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import torch
from torch import Tensor

from samlib import Objective, rules, simulate
from samlib.flow import FlowPath, Projection, limiting_flow, project_to_minimizers
from samlib.landscapes import FourDimensional, Quadratic
from tests.samlib.flow_cases import NETWORK, START, double, network_loss, normal, tilted_sphere


@pytest.fixture(scope="module")
def projected() -> Projection:
    return project_to_minimizers(NETWORK, START)


TIMES = [0.0, 0.1, 0.3, 1.0]


@pytest.mark.parametrize(
    ("regularizer", "destination", "rates"),
    [
        ("top_eigenvalue", (0.0, 0.0), (2.0, 12.0)),
        ("trace", (0.8, 1 / 7), (10.0, 14.0)),
        ("smallest_nonzero_eigenvalue", (1.0, 1.0), (8.0, 2.0)),
    ],
)
def test_the_flows_of_figure_1_are_known(
    regularizer: str,
    destination: tuple[float, float],
    rates: tuple[float, float],
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    landscape = FourDimensional()
    start = double(0.5, 0.5, 0.1, 0.2).to(device, dtype)
    flow = limiting_flow(landscape, start, regularizer, TIMES)
    assert flow.x.dtype == dtype
    assert flow.x.device.type == device.type
    close = {"rtol": 0, "atol": 1e-6 if dtype == torch.float64 else 2e-3}
    torch.testing.assert_close(flow.x[0], project_to_minimizers(landscape, start).x, **close)
    for i in (0, 1):
        decay = torch.exp(-rates[i] * flow.times)
        expected = destination[i] + (flow.x[0, i] - destination[i]) * decay
        torch.testing.assert_close(flow.x[:, i], expected, **close)
    gamma = landscape.minimizer_manifold
    spectrum = gamma.eigenvalues(flow.x)
    torch.testing.assert_close(flow.top_eigenvalue, spectrum[:, 0])
    torch.testing.assert_close(flow.smallest_nonzero_eigenvalue, spectrum[:, 1])
    torch.testing.assert_close(flow.trace, spectrum.sum(dim=-1))
    assert torch.equal(flow.value, getattr(flow, regularizer))
    assert flow.rank == 2
    assert flow.converged
    if regularizer == "trace":
        assert bool(flow.eigengap.isinf().all())
    else:
        gap = (spectrum[:, 0] - spectrum[:, 1]) / spectrum[:, 0]
        torch.testing.assert_close(flow.eigengap, gap)


@pytest.mark.parametrize("regularizer", ["top_eigenvalue", "trace", "smallest_nonzero_eigenvalue"])
def test_a_flow_on_a_curved_gamma_stays_on_it_and_is_known(regularizer: str) -> None:
    # On the sphere λ₁ = 2 + x₃: dx₃/dτ = −½ (1 − x₃²), the longitude stays.
    objective = Objective(tilted_sphere, 3)
    start = double(0.3, -0.4, math.sqrt(0.75))
    flow = limiting_flow(objective, start, regularizer, [0.0, 1.0, 2.0, 5.0])
    height = torch.tanh(math.atanh(float(start[2])) - flow.times / 2)
    torch.testing.assert_close(flow.x[:, 2], height, rtol=0, atol=1e-7)
    torch.testing.assert_close(flow.x.norm(dim=-1), torch.ones(4).double(), rtol=0, atol=1e-14)
    longitude = torch.atan2(flow.x[:, 1], flow.x[:, 0])
    torch.testing.assert_close(longitude, longitude[:1].expand(4), rtol=0, atol=1e-7)
    torch.testing.assert_close(flow.value, 2 + height, rtol=0, atol=1e-7)


def test_the_flow_of_any_function_of_x_is_known() -> None:
    # On Γ of Figure 1's loss, S = x₁ + x₂² is lowered by dx₁/dτ = −½, dx₂/dτ = −x₂. Its
    # derivative across Γ must not matter.
    def tilt(x: Tensor) -> Tensor:
        return x[0] + x[1] ** 2 + 7 * x[2] - x[3]

    start = double(0.5, 0.5, 0.1, 0.2)
    flow = limiting_flow(FourDimensional(), start, tilt, [0.0, 0.3, 1.0])
    begin = project_to_minimizers(FourDimensional(), start).x
    torch.testing.assert_close(flow.x[:, 0], begin[0] - flow.times / 2, rtol=0, atol=1e-7)
    decay = torch.exp(-flow.times)
    torch.testing.assert_close(flow.x[:, 1], begin[1] * decay, rtol=0, atol=1e-7)
    assert float(flow.x[:, 2:].abs().max()) < 1e-14
    torch.testing.assert_close(flow.value, flow.x[:, 0] + flow.x[:, 1] ** 2)
    assert flow.regularizer == "tilt"
    assert bool(flow.eigengap.isinf().all())
    assert repr(flow).startswith("FlowPath('tilt', times=3")
    still = limiting_flow(FourDimensional(), start, lambda x: torch.ones(()).double(), [0.0, 1.0])
    assert torch.equal(still.x[0], still.x[1])


@pytest.mark.parametrize("function", [lambda x: x, lambda x: x[0] / 0])
def test_a_flow_refuses_a_function_that_returns_no_number(
    function: Callable[[Tensor], Tensor],
) -> None:
    with pytest.raises(ValueError, match="regularizer must return one finite number"):
        limiting_flow(FourDimensional(), double(0.5, 0.5, 0.1, 0.2), function, [0.0, 1.0])


def test_the_trace_as_a_function_has_the_flow_of_the_trace(trace_flow: FlowPath) -> None:
    def trace(x: Tensor) -> Tensor:
        return torch.func.hessian(network_loss)(x).trace()

    flow = limiting_flow(NETWORK, START, trace, TAUS[:3])
    torch.testing.assert_close(flow.value, trace_flow.value[:3], rtol=1e-6, atol=0)


TAUS = [0.0, 0.5, 1.0, 2.0, 3.0, 4.0]


@pytest.fixture(scope="module")
def top_flow() -> FlowPath:
    return limiting_flow(NETWORK, START, "top_eigenvalue", TAUS)


@pytest.fixture(scope="module")
def trace_flow() -> FlowPath:
    return limiting_flow(NETWORK, START, "trace", TAUS)


def test_the_flows_on_the_network_have_the_known_values(
    top_flow: FlowPath, trace_flow: FlowPath
) -> None:
    known = double(1.1449, 1.0681, 0.9184, 0.7498, 0.6649)
    torch.testing.assert_close(top_flow.value[[0, 1, 2, 3, 5]], known, rtol=5e-3, atol=0)
    known = double(1.4018, 1.1573, 1.0930, 1.0507)
    torch.testing.assert_close(trace_flow.value[2:], known, rtol=5e-3, atol=0)
    for flow in (top_flow, trace_flow):
        assert flow.converged
        assert float(flow.gradient_norm.max()) < 1e-13
        assert float(NETWORK.value(flow.x).max()) < 1e-26
    spectrum = torch.linalg.eigvalsh(torch.func.vmap(torch.func.hessian(network_loss))(top_flow.x))
    gap = (spectrum[:, -1] - spectrum[:, -2]) / spectrum[:, -1]
    torch.testing.assert_close(top_flow.eigengap, gap)


@pytest.mark.parametrize("regularizer", ["top_eigenvalue", "trace"])
def test_a_flow_on_the_network_agrees_with_an_independent_integration(
    regularizer: str, projected: Projection, top_flow: FlowPath, trace_flow: FlowPath
) -> None:
    # Classical Runge-Kutta steps with the dense Hessian, whose eigenvalue or full trace is itself
    # differentiated, and a Gauss-Newton retraction by the Jacobian.
    def residuals(x: Tensor) -> Tensor:
        w, b, a = x[:30].view(10, 3), x[30:40], x[40:]
        return torch.tanh(NETWORK.inputs @ w.T + b) @ a / math.sqrt(10) - NETWORK.targets

    def sharpness(x: Tensor) -> Tensor:
        hessian = torch.func.hessian(network_loss)(x)
        top = regularizer == "top_eigenvalue"
        return torch.linalg.eigvalsh(hessian)[-1] if top else hessian.trace()

    def velocity(x: Tensor) -> Tensor:
        slope, jacobian = torch.func.grad(sharpness)(x), torch.func.jacrev(residuals)(x)
        return -(slope - torch.linalg.pinv(jacobian) @ (jacobian @ slope)) / 2

    def retract(x: Tensor) -> Tensor:
        for _ in range(3):
            x = x - torch.linalg.pinv(torch.func.jacrev(residuals)(x)) @ residuals(x)
        return x

    x, h = projected.x, 0.1
    for _ in range(5):
        k1 = velocity(x)
        k2 = velocity(x + h / 2 * k1)
        k3 = velocity(x + h / 2 * k2)
        k4 = velocity(x + h * k3)
        x = retract(x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    flow = top_flow if regularizer == "top_eigenvalue" else trace_flow
    assert float((flow.x[1] - flow.x[0]).norm()) > 0.1
    torch.testing.assert_close(flow.x[1], x, rtol=0, atol=2e-5)


def on_gamma(rule: rules.Rule, start: Tensor, taus: list[float]) -> Tensor:
    """The spectra of ∇²L at Φ of where the rule is at the times τ: [runs, times, 50]."""
    per_unit = round(1 / (float(rule.lr) * float(rule.rho) ** 2))
    steps = int(max(taus) * per_unit)
    path = simulate(NETWORK, rule, start, steps, every=per_unit // 2, record=("x",), seed=0).x
    points = project_to_minimizers(NETWORK, path[:, [int(2 * tau) for tau in taus]])
    assert bool(points.converged.all())
    return torch.linalg.eigvalsh(NETWORK.hessian(points.x))


def test_full_batch_sam_follows_the_flow_of_the_top_eigenvalue(
    projected: Projection, top_flow: FlowPath
) -> None:
    start = projected.x + 1e-3 * normal(50, seed=1)
    expected = top_flow.value[[1, 2, 3, 5]]
    errors = []
    for lr, rho in ((0.1, 0.05), (0.05, 0.025)):
        measured = on_gamma(rules.SAM(lr, rho), start, [0.5, 1, 2, 4])[0, :, -1]
        errors.append(float((measured / expected - 1).abs().max()))
    assert errors[0] < 0.02
    assert errors[1] < 0.7 * errors[0]


def test_at_a_finite_learning_rate_only_the_time_is_another() -> None:
    # dτ' = dτ/(1 − ηλ₁/2)² along the same curve, here with λ₁ known: 2F₁ = 16 + 2x₁², x₂ = 0.
    lr, times = 0.05, torch.linspace(0, 1, 201, dtype=torch.float64)
    start = double(0.8, 0, 0, 0)
    flow = limiting_flow(FourDimensional(), start, "top_eigenvalue", times, lr=lr)
    x1 = scipy.integrate.solve_ivp(
        lambda t, x: -2 * x * (2 / (2 - lr * (16 + 2 * x**2))) ** 2,
        (0, 1),
        [0.8],
        t_eval=times,
        rtol=1e-10,
        atol=1e-12,
    ).y[0]
    torch.testing.assert_close(flow.x[:, 0], torch.from_numpy(x1), rtol=0, atol=1e-7)


def test_at_small_radius_sam_runs_ahead_of_the_flow_as_its_two_cycle_predicts(
    projected: Projection,
) -> None:
    # SAM's gradients are taken at distance 2ρ/(2 − ηλ₁) from Γ, so its drift is the flow's times
    # (2/(2 − ηλ₁))²; what remains is measured to be of order ρ²/η.
    lr, times = 0.1, torch.linspace(0, 2.4, 49).double()
    start = projected.x + 1e-3 * normal(50, seed=1)
    flow = limiting_flow(NETWORK, start, "top_eigenvalue", times)
    slowness = (1 - lr * flow.top_eigenvalue / 2) ** 2
    elapsed = scipy.integrate.cumulative_trapezoid(slowness, times, initial=0)
    taus = [0.5, 1, 2]
    plain = np.interp(taus, times, flow.value)
    rescaled = np.interp(np.interp(taus, elapsed, times), times, flow.value)
    measured = on_gamma(rules.SAM(lr, 0.0125), start, taus)[0, :, -1].numpy()
    assert np.abs(measured / rescaled - 1).max() < 3e-3
    assert np.abs(measured / plain - 1).max() > 0.02


def test_one_sam_follows_the_flow_of_the_trace(projected: Projection, trace_flow: FlowPath) -> None:
    start = (projected.x + 1e-3 * normal(50, seed=1)).expand(16, -1)
    errors = []
    for lr, rho in ((0.1, 0.05), (0.05, 0.025)):
        spectra = on_gamma(rules.StochasticSAM(lr, rho), start, [1, 2, 3, 4])
        measured = spectra.sum(dim=-1).mean(dim=0)
        errors.append((measured / trace_flow.value[2:] - 1).abs())
    assert float(errors[1][0]) < 0.06
    assert float(errors[1][1:].max()) < 0.02
    assert bool((errors[1] < errors[0]).all())


def test_the_flow_of_the_smallest_eigenvalue_ends_where_it_stops_being_simple() -> None:
    # F₁ < F₂ at the start, so λ_M = 2F₁ falls, with x₁ = −2e^(−2τ), until it meets 2F₂.
    def difference(t: float) -> float:
        x1 = -2 * math.exp(-2 * t)
        return 4 * (1 - x1) ** 2 + 2 - (x1**2 + 8)

    meeting = scipy.optimize.brentq(difference, 0, 2)
    times, name = [0.0, 0.9 * meeting, 1.1 * meeting], "smallest_nonzero_eigenvalue"
    start = double(-2, 0, 0, 0)
    message = f"ends before τ = {times[-1]:g}: .* meets another .* at τ = {meeting:.3f}"[:-1]
    with pytest.warns(RuntimeWarning, match=message):
        flow = limiting_flow(FourDimensional(), start, name, times)
    assert not flow.converged
    expected = double(-2 * math.exp(-2 * times[1]), 0)
    torch.testing.assert_close(flow.x[1, :2], expected, rtol=0, atol=1e-6)
    assert bool(flow.x[2].isnan().all())
    assert math.isnan(float(flow.value[2]))
    assert flow.multiplicity.tolist() == [1, 1, 0]
    # The trace does not care.
    assert limiting_flow(FourDimensional(), start, "trace", times).converged
    with pytest.warns(RuntimeWarning, match="ends before"):
        none = limiting_flow(FourDimensional(), start, name, [2.0])
    assert bool(none.x.isnan().all())


def test_the_times_need_not_begin_at_zero_nor_leave_it() -> None:
    start = double(0.5, 0.5, 0, 0)
    full = limiting_flow(FourDimensional(), start, "trace", [0.0, 0.2])
    late = limiting_flow(FourDimensional(), start, "trace", torch.tensor([0.2]))
    only = limiting_flow(FourDimensional(), start, "trace", [0.0])
    torch.testing.assert_close(late.x[0], full.x[1], rtol=0, atol=1e-6)
    assert torch.equal(only.x[0], full.x[0])


def test_a_hessian_that_does_not_change_does_not_move_anything() -> None:
    flow = limiting_flow(Objective(lambda x: x[1] ** 2, 2), double(1, 1), "trace", [0.0, 1.0])
    torch.testing.assert_close(flow.x, double(1, 0).expand(2, 2))


def test_results_print_and_become_a_table() -> None:
    flow = limiting_flow(FourDimensional(), double(0.5, 0.5, 0, 0), "trace", [0.0, 0.2])
    table = flow.to_dataframe()
    assert list(table.columns) == [
        "time",
        "top_eigenvalue",
        "trace",
        "smallest_nonzero_eigenvalue",
        "eigengap",
        "gradient_norm",
        *("x1", "x2", "x3", "x4"),
    ]
    assert table["trace"].to_numpy() == pytest.approx(flow.trace.numpy())
    assert table["x2"].to_numpy() == pytest.approx(flow.x[:, 1].numpy())
    assert repr(flow).startswith("FlowPath('trace', times=2 in [0, 0.2], value 24 → ")
    found = project_to_minimizers(Quadratic([1.0]), torch.ones(2, 1).double())
    assert repr(found).startswith("Projection(shape=(2, 1), converged=2 of 2, gradient_norm≤")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": torch.ones(2, 4)}, "start must have shape"),
        ({"start": torch.ones(3)}, "start"),
        ({"regularizer": "lambda"}, "regularizer must be one of top_eigenvalue, trace"),
        ({"regularizer": None}, "or a function of x, got None"),
        ({"times": []}, "times"),
        ({"times": [1.0, 0.5]}, "increasing"),
        ({"times": [0.0, math.inf]}, "finite"),
        ({"times": [-1.0]}, "not negative"),
        ({"rtol": -1.0}, "rtol"),
        ({"gap_rtol": 0.0}, "gap_rtol"),
        ({"objective": Quadratic([1.0, 2.0, 3.0, 4.0])}, "single point"),
        ({"objective": Objective(lambda x: -x.sum(), 4)}, "does not reach"),
        ({"objective": Objective(lambda x: 0 * x.sum(), 4)}, "vanishes"),
        (
            {
                "start": double(0, 1 / math.sqrt(3), 0, 0),
                "gap_rtol": 0.9,
                "regularizer": "smallest_nonzero_eigenvalue",
            },
            "no flow from",
        ),
        ({"lr": 0.2}, r"lr must be below 2/λ₁ = 0\.1026 at Φ\(start\), got 0\.2"),
        ({"lr": 0.01, "regularizer": "trace"}, "lr is for the flow of top_eigenvalue"),
    ],
)
def test_a_flow_refuses_bad_arguments(arguments: dict, message: str) -> None:
    good = {
        "objective": FourDimensional(),
        "start": double(0.5, 0.5, 0, 0),
        "regularizer": "top_eigenvalue",
        "times": [0.0, 1.0],
    }
    with pytest.raises(ValueError, match=message):
        limiting_flow(**{**good, **arguments})
