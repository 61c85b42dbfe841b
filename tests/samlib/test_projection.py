"""samlib.project_to_minimizers: against closed forms and an independent integration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from samlib import Objective
from samlib.flow import Projection, limiting_flow, project_to_minimizers
from samlib.landscapes import FourDimensional, Quadratic, TwoValleys
from tests.samlib.flow_cases import NETWORK, START, double, network_loss, normal, tilted_sphere


def sphere(x: Tensor) -> Tensor:
    """Γ is the unit sphere, the gradient radial."""
    return (x.square().sum() - 1) ** 2 / 8


def hyperbola(x: Tensor) -> Tensor:
    """A network of two weights: Γ is x₁x₂ = 1, and gradient flow conserves x₁² − x₂²."""
    return (x[0] * x[1] - 1) ** 2 / 2


def test_the_flow_to_a_sphere_is_straight(device: torch.device, dtype: torch.dtype) -> None:
    x = normal(5, 4, 3).to(device, dtype)
    found = project_to_minimizers(Objective(sphere, 3), x)
    close = {"rtol": 0, "atol": 1e-8 if dtype == torch.float64 else 1e-4}
    torch.testing.assert_close(found.x, x / x.norm(dim=-1, keepdim=True), **close)
    assert found.x.dtype == dtype
    assert found.x.device.type == device.type
    assert bool(found.converged.all())
    assert bool((found.rank == 1).all())
    for evidence in (found.loss, found.gradient_norm, found.rank, found.error, found.converged):
        assert evidence.shape == (5, 4)


def test_the_flow_to_a_hyperbola_keeps_its_conserved_quantity() -> None:
    x = 2 * normal(30, 2)
    found = project_to_minimizers(Objective(hyperbola, 2), x)
    assert bool(found.converged.all())
    a, b = found.x.unbind(-1)
    torch.testing.assert_close(a * b, torch.ones(30).double(), rtol=0, atol=1e-13)
    torch.testing.assert_close(a**2 - b**2, x[:, 0] ** 2 - x[:, 1] ** 2, rtol=0, atol=1e-7)


def two_valleys_velocity(t: float, x: np.ndarray) -> np.ndarray:
    tanh = np.tanh(x[0])
    slope = (0.25 * x[1] ** 2 - 0.4 * x[2] ** 2) * (1 - tanh**2)
    return -np.array([slope, (3 + tanh / 2) * x[1], (1 - 0.8 * tanh) * x[2]])


def four_dimensional_velocity(t: float, x: np.ndarray) -> np.ndarray:
    f1 = x[0] ** 2 + 6 * x[1] ** 2 + 8
    f2 = 4 * (1 - x[0]) ** 2 + (1 - x[1]) ** 2 + 1
    along = [
        2 * x[0] * x[2] ** 2 - 8 * (1 - x[0]) * x[3] ** 2,
        12 * x[1] * x[2] ** 2 - 2 * (1 - x[1]) * x[3] ** 2,
    ]
    return -np.array([*along, 2 * f1 * x[2], 2 * f2 * x[3]])


CASES = [
    pytest.param(TwoValleys(), two_valleys_velocity, id="TwoValleys"),
    pytest.param(FourDimensional(), four_dimensional_velocity, id="FourDimensional"),
]


@pytest.mark.parametrize(("landscape", "velocity"), CASES)
def test_phi_is_where_an_independent_integration_ends(landscape, velocity) -> None:
    x = normal(4, landscape.dim)
    ends = [
        scipy.integrate.solve_ivp(
            velocity, (0, 100), each.numpy(), method="LSODA", rtol=1e-12, atol=1e-13
        ).y[:, -1]
        for each in x
    ]
    found = project_to_minimizers(landscape, x)
    torch.testing.assert_close(found.x, torch.tensor(np.array(ends)), rtol=0, atol=2e-8)
    assert bool((found.rank == 2).all())


@pytest.mark.parametrize(("landscape", "velocity"), CASES)
def test_phi_does_not_change_along_gradient_flow(landscape, velocity) -> None:
    x = normal(landscape.dim, seed=4)
    on_the_way = scipy.integrate.solve_ivp(
        velocity, (0, 2), x.numpy(), rtol=1e-11, atol=1e-13, t_eval=[0, 0.1, 0.5, 2]
    )
    found = project_to_minimizers(landscape, torch.tensor(on_the_way.y.T)).x
    torch.testing.assert_close(found, found[:1].expand_as(found), rtol=0, atol=2e-8)
    # ∂Φ ∇L = 0 (Lemma 3.2), while Φ changes in other directions.
    gradient = landscape.gradient(x)
    across = normal(landscape.dim, seed=5)
    across -= gradient * (across @ gradient) / (gradient @ gradient)
    for direction, still in ((gradient / gradient.norm(), True), (across, False)):
        step = 1e-3 * direction
        ends = project_to_minimizers(landscape, torch.stack([x + step, x - step])).x
        slope = float((ends[0] - ends[1]).norm()) / 2e-3
        assert slope < 1e-4 if still else slope > 1e-2


@pytest.mark.parametrize(
    ("objective", "x"),
    [
        (TwoValleys(), double(0.3, 0, 0)),
        (FourDimensional(), double(0.3, 0.8, 0, 0)),
        (Objective(tilted_sphere, 3), double(2, -1, 2) / 3),
        (Objective(hyperbola, 2), double(2, 0.5)),
    ],
    ids=["TwoValleys", "FourDimensional", "sphere", "hyperbola"],
)
def test_the_derivative_of_phi_on_gamma_is_the_tangent_projection(
    objective: Objective, x: Tensor
) -> None:
    torch.testing.assert_close(project_to_minimizers(objective, x).x, x, rtol=0, atol=1e-15)
    h = 1e-3 * torch.eye(objective.dim, dtype=torch.float64)
    ends = project_to_minimizers(objective, torch.stack([x + h, x - h]), rtol=1e-11, atol=1e-11).x
    derivative = (ends[0] - ends[1]).mT / 2e-3
    values, vectors = torch.linalg.eigh(objective.hessian(x))
    tangent = vectors[:, values < 1e-9]
    torch.testing.assert_close(derivative, tangent @ tangent.mT, rtol=0, atol=1e-5)


@pytest.mark.parametrize("spectrum", [[2.0], [3.0, 1.0], [1.0, 1e-3], [1.0, 1e-6]])
def test_phi_of_a_quadratic_is_its_minimizer_however_stiff(spectrum: list[float]) -> None:
    x = normal(3, len(spectrum))
    found = project_to_minimizers(Quadratic(spectrum), x)
    assert float(found.x.abs().max()) < 1e-12
    assert bool((found.rank == len(spectrum)).all())
    assert found.evaluations < 1000, "explicit steps alone would need many more for the last"


def test_a_curved_stiff_valley_is_followed() -> None:
    def rosenbrock(x: Tensor) -> Tensor:
        return (1 - x[0]) ** 2 + 1000 * (x[1] - x[0] ** 2) ** 2

    found = project_to_minimizers(Objective(rosenbrock, 2), double(-1, 1))
    torch.testing.assert_close(found.x, double(1, 1), rtol=0, atol=1e-10)
    assert found.evaluations < 3000


@pytest.fixture(scope="module")
def projected() -> Projection:
    return project_to_minimizers(NETWORK, START)


def test_phi_on_the_network_has_the_known_spectrum(projected: Projection) -> None:
    assert bool(projected.converged)
    assert int(projected.rank) == 5, "the number of data points (Theorem 5.2)"
    assert float(projected.gradient_norm) < 1e-14
    assert float(projected.loss) < 1e-28
    hessian = torch.autograd.functional.hessian(network_loss, projected.x)
    spectrum = torch.linalg.eigvalsh(hessian).flip(0)
    assert float(spectrum[5:].abs().max()) < 1e-14
    known = double(1.14486, 0.3118, 0.06051)
    torch.testing.assert_close(spectrum[[0, 1, 4]], known, rtol=2e-3, atol=0)
    assert float(spectrum.sum()) == pytest.approx(1.79484, rel=1e-3)


def test_phi_on_the_network_agrees_with_an_independent_integration(projected: Projection) -> None:
    function = torch.func.grad(network_loss)
    end = scipy.integrate.solve_ivp(
        lambda t, x: -function(torch.from_numpy(x)).numpy(),
        (0, 250),
        START.numpy(),
        method="DOP853",
        rtol=1e-11,
        atol=1e-12,
    ).y[:, -1]
    torch.testing.assert_close(projected.x, torch.from_numpy(end), rtol=0, atol=1e-6)
    tight = project_to_minimizers(NETWORK, START, rtol=1e-12, atol=1e-12)
    assert float((projected.x - tight.x).norm()) < 1e-7
    loose = project_to_minimizers(NETWORK, START, rtol=1e-5, atol=1e-5)
    assert 1e-7 < float((loose.x - tight.x).norm()) < 1e-2
    assert loose.evaluations < projected.evaluations < tight.evaluations


def test_a_batch_has_the_points_that_each_would_have_alone(projected: Projection) -> None:
    x = projected.x + 0.01 * normal(3, 50)
    together = project_to_minimizers(NETWORK, x)
    assert bool(together.converged.all())
    for i in range(3):
        alone = project_to_minimizers(NETWORK, x[i])
        torch.testing.assert_close(together.x[i], alone.x, rtol=0, atol=1e-8)
    assert project_to_minimizers(NETWORK, x[:0]).x.shape == (0, 50)


def test_phi_of_a_module_is_that_of_the_same_network_as_a_landscape(projected: Projection) -> None:
    class Scaled(nn.Sequential):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs)[:, 0] / math.sqrt(10)

    model = Scaled(nn.Linear(3, 10), nn.Tanh(), nn.Linear(10, 1, bias=False)).double()
    rows = TensorDataset(NETWORK.inputs, NETWORK.targets)
    loader = DataLoader(rows, batch_size=2)
    near = projected.x + 0.01 * normal(50)
    expected = project_to_minimizers(NETWORK, near)
    loose = {"rtol": 1e-7, "atol": 1e-7}
    # The mean square is twice the loss: the same flow, twice as fast.
    for data in (rows.tensors, loader):
        objective = Objective.from_module(model, nn.MSELoss(), data)
        found = project_to_minimizers(objective, near, **loose)
        torch.testing.assert_close(found.x, expected.x, rtol=0, atol=1e-6)


def test_many_parameters_need_the_rank_and_then_no_hessian(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objective = Objective(tilted_sphere, 600)
    monkeypatch.setattr(Objective, "hessian", None)
    x = normal(600) / 20
    with pytest.raises(ValueError, match="more than 512 parameters, here 600, rank is required"):
        project_to_minimizers(objective, x)
    found = project_to_minimizers(objective, x, rank=1)
    assert bool(found.converged)
    assert float(found.x.norm()) == pytest.approx(1, abs=1e-12)
    low = double(*[0.01] * 600)
    flow = limiting_flow(objective, low, "top_eigenvalue", [0.0, 1.0], rank=1)
    z = flow.x[:, 2]
    assert float(z[1]) == pytest.approx(math.tanh(math.atanh(float(z[0])) - 0.5), abs=1e-7)


def saddle(x: Tensor) -> Tensor:
    return (x[0] ** 2 - x[1] ** 2) / 2 + x[1] ** 4 / 4


def test_points_that_do_not_reach_a_minimizer_are_marked_and_do_not_stop_the_others() -> None:
    def cliff(x: Tensor) -> Tensor:  # unbounded below to the right, a bowl around (-1, 0)
        bowl = ((x[0] + 1) ** 2 + x[1] ** 2) / 2
        return torch.where(x[0] > 0, 1 - x[0] ** 2, bowl)

    for loss, x, good in (
        (saddle, [[1.0, 0.0], [1.0, 0.1], [1.0, -0.3]], [False, True, True]),
        (cliff, [[-0.5, 1.0], [0.5, 0.5], [-3.0, 2.0]], [True, False, True]),
    ):
        with pytest.warns(RuntimeWarning, match="1 of 3 points did not reach"):
            found = project_to_minimizers(Objective(loss, 2), torch.tensor(x).double())
        assert found.converged.tolist() == good
        assert float(found.gradient_norm[found.converged].max()) < 1e-12
        assert bool(found.x.isfinite().all())


def test_a_search_that_is_cut_short_says_so() -> None:
    with pytest.warns(RuntimeWarning, match="within 30 gradients"):
        found = project_to_minimizers(NETWORK, START, max_evaluations=30)
    assert not bool(found.converged)
    assert float(found.gradient_norm) > 1e-3
    with pytest.warns(RuntimeWarning, match="did not reach"):
        infinity = project_to_minimizers(
            Objective(lambda x: nn.functional.softplus(-x).sum(), 1), double(1)
        )
    assert float(infinity.x) > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.ones(4)}, "x"),
        ({"x": double(math.nan, 1, 1)}, "x must be finite"),
        ({"rtol": 0.0}, "rtol"),
        ({"atol": 1.0}, "atol"),
        ({"rank": 0}, "rank"),
        ({"rank": 4}, "rank must be at most dim = 3"),
        ({"max_evaluations": 0}, "max_evaluations"),
    ],
)
def test_a_projection_refuses_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        project_to_minimizers(TwoValleys(), **{"x": torch.ones(3), **arguments})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused_by_name(dtype: torch.dtype) -> None:
    x = START.to(dtype)
    with pytest.raises(TypeError, match=rf"x must have dtype float32 or float64, got {dtype}"):
        project_to_minimizers(NETWORK, x)
    with pytest.raises(TypeError, match=rf"start must have dtype float32 .* got {dtype}"):
        limiting_flow(NETWORK, x, "trace", [0.0, 1.0])
