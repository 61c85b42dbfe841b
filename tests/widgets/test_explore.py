"""The figure Explore: its numbers against independent ones, and what it leaves alone."""

from __future__ import annotations

import copy
import json
import math
from contextlib import closing

import pytest
import torch
from torch import nn

import samlib
from samlib.widgets import Explore, explore
from samlib.widgets.figures.explore.description import describe_point

from .exploring import PATIENCE, RADII, Problem, state_of

# ── The numbers ──────────────────────────────────────────────────────────────────────────────────


def test_what_does_not_depend_on_the_radius(problem: Problem, measured: Explore) -> None:
    point = measured.point
    assert point is not None
    gradient, hessian = problem.gradient(), problem.hessian()
    values, vectors = torch.linalg.eigh(hessian)
    assert point.loss == pytest.approx(float(problem.loss(problem.x)), rel=1e-12)
    assert point.gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-10)
    pairs = point.eigenvalues
    assert pairs.values.shape == (4,)
    assert pairs.converged
    assert bool(((pairs.values - values.flip(0)[:4]).abs() <= pairs.residuals + 1e-10).all())
    assert float(pairs.residuals.max()) <= 1e-3 * float(values.abs().max())
    cosine = abs(float(gradient @ vectors[:, -1])) / float(gradient.norm())
    assert abs(float(point.cosines[0]) - cosine) <= point.cosine_error + 1e-9
    along = float(gradient @ hessian @ gradient / gradient.square().sum())
    assert point.curvature_along_gradient == pytest.approx(along, rel=1e-9)
    assert abs(float(point.trace.value) - float(hessian.trace())) <= 4 * float(point.trace.error)
    assert float(point.trace.error) <= 0.05 * float(hessian.trace())


@pytest.mark.parametrize("rho", RADII)
def test_the_three_sharpnesses(problem: Problem, measured: Explore, rho: float) -> None:
    worst, ascent, average = (
        float(measured.results[rho].sharpness[n].value) for n in ("worst", "ascent", "average")
    )
    gradient, before = problem.gradient(), problem.loss(problem.x)
    along = problem.loss(problem.x + rho * gradient / gradient.norm()) - before
    assert ascent == pytest.approx(float(along), rel=1e-9)

    generator = torch.Generator().manual_seed(11)
    directions = torch.randn(4000, 92, generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=-1, keepdim=True)
    rises = torch.stack([problem.loss(problem.x + rho * u) for u in directions]) - before
    both = torch.stack([problem.loss(problem.x - rho * u) for u in directions]) - before
    mean = (rises + both) / 2
    error = math.hypot(
        float(measured.results[rho].sharpness["average"].error), float(mean.std()) / 4000**0.5
    )
    assert abs(average - float(mean.mean())) <= 5 * error
    assert worst >= ascent
    assert worst >= float(rises.max())
    # Plain projected gradient ascent finds nothing that is much higher: there are several local
    # maxima, and the search promises a lower bound.
    v = (gradient / gradient.norm()).clone()
    for _ in range(400):
        v.requires_grad_()
        (slope,) = torch.autograd.grad(problem.loss(problem.x + rho * v), v)
        v = v.detach() + slope / slope.norm()
        v /= v.norm()
    found = float(problem.loss(problem.x + rho * v) - before)
    assert worst >= found * (1 - 1e-3)
    objective = samlib.Objective.from_module(
        problem.model, nn.MSELoss(), (problem.inputs, problem.targets)
    )
    again = samlib.worst_direction_sharpness(objective, problem.x, rho, seed=5)
    assert worst == pytest.approx(float(again.value), rel=1e-12)


@pytest.mark.parametrize("rho", RADII)
def test_the_quadratic_model(problem: Problem, measured: Explore, rho: float) -> None:
    predicted = measured.results[rho].predicted
    gradient, hessian = problem.gradient(), problem.hessian()
    norm = float(gradient.norm())
    along = float(gradient @ hessian @ gradient) / norm**2
    assert predicted["ascent"] == pytest.approx(rho * norm + rho**2 * along / 2, rel=1e-9)
    trace = float(hessian.trace()) / 92
    assert predicted["average"] == pytest.approx(rho**2 * trace / 2, rel=0.1)
    # The worst direction, by projected gradient ascent on the model from many starts.
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(20, 92, generator=generator, dtype=torch.float64)
    v[0] = gradient
    v /= v.norm(dim=-1, keepdim=True)
    for _ in range(3000):
        v = v + 2 * (gradient + rho * v @ hessian)
        v /= v.norm(dim=-1, keepdim=True).clamp(min=1)
    best = (rho * v @ gradient + rho**2 * ((v @ hessian) * v).sum(-1) / 2).max()
    assert predicted["worst"] == pytest.approx(float(best), rel=2e-4)


def test_the_model_tends_to_the_slope_and_to_the_top_eigenvalue(measured: Explore) -> None:
    point = measured.point
    assert point is not None
    radii = torch.tensor([1e-6, 1e4], dtype=torch.float64)
    small, large = (float(v) for v in point.quadratic.predict(radii)["worst"] / radii)
    assert small == pytest.approx(point.gradient_norm, rel=1e-4)
    assert large / 1e4 == pytest.approx(float(point.eigenvalues.values[0]) / 2, rel=1e-3)


def test_the_model_knows_the_top_eigenvector_even_if_the_gradient_is_orthogonal_to_it() -> None:
    scales = torch.linspace(3, 1, 30).double()
    line = nn.Linear(30, 1, bias=False).double()
    nn.init.constant_(line.weight, 0.01)
    with torch.no_grad():
        line.weight[0, 0] = 0
    data = torch.diag(scales), torch.zeros(30, 1).double()
    with closing(explore(line, nn.MSELoss(), data, rho=3.0)) as figure:
        result = figure.wait(PATIENCE).results[3.0]
        assert figure.point is not None
        assert float(figure.point.cosines[0]) < 1e-8
    worst = float(result.sharpness["worst"].value)
    assert worst > 1.05 * float(result.sharpness["ascent"].value)
    assert result.predicted["worst"] == pytest.approx(worst, rel=1e-5)


@pytest.mark.parametrize("rho", RADII)
def test_the_profiles(problem: Problem, measured: Explore, rho: float) -> None:
    result = measured.results[rho]
    assert result.complete
    steps, before = result.steps, problem.loss(problem.x)
    assert float(steps[0]) == pytest.approx(-2 * rho)
    gradient = problem.gradient()
    u = gradient / gradient.norm()
    expected = torch.stack([problem.loss(problem.x + s * u) - before for s in steps])
    torch.testing.assert_close(result.profiles["ascent"], expected, rtol=1e-8, atol=1e-12)
    # At ρ the curves are as high as the sharpnesses, at 0 all are 0.
    here = int((steps - rho).abs().argmin())
    assert float(steps[here]) == pytest.approx(rho)
    for name in ("ascent", "worst"):
        value = float(result.sharpness[name].value)
        assert float(result.profiles[name][here]) == pytest.approx(value, rel=1e-6)
    assert all(abs(float(rise[len(steps) // 2])) < 1e-12 for rise in result.profiles.values())
    # Along a random direction L curves by uᵀ∇²L u, which is neither the worst nor 0.
    random = result.profiles["random"]
    curvature = float(random[here] + random[-1 - here]) / rho**2
    assert 0 < curvature < 0.5 * float(torch.linalg.eigvalsh(problem.hessian())[-1])


def test_the_table_of_results(measured: Explore) -> None:
    table = measured.to_dataframe()
    assert table.columns.tolist() == [
        "rho", "notion", "value", "error", "kind", "predicted", "evaluations",
    ]  # fmt: skip
    assert table["rho"].tolist() == [RADII[0]] * 3 + [RADII[1]] * 3
    assert table["kind"].tolist() == ["lower bound", "exact", "estimate"] * 2
    (value,) = table.query(f"rho == {RADII[1]} and notion == 'worst'")["value"]
    assert value == float(measured.results[RADII[1]].sharpness["worst"].value)
    assert measured.sharpness is measured.results[RADII[0]].sharpness


def test_small_and_odd_networks() -> None:
    line = nn.Linear(2, 1).double()
    inputs = torch.eye(2, dtype=torch.float64)
    # Few parameters: exact eigenvalues, as many as there are.
    with closing(explore(line, nn.MSELoss(), (inputs, torch.ones(2, 1).double()), k=9)) as figure:
        point = figure.wait(PATIENCE).point
        assert point is not None
        hessian = torch.tensor([[1.0, 0, 1], [0, 1, 1], [1, 1, 2]], dtype=torch.float64)
        expected = torch.linalg.eigvalsh(hessian).flip(0)
        torch.testing.assert_close(point.eigenvalues.values, expected)
        assert float(point.trace.value) == pytest.approx(4)
        assert float(point.trace.error) < 1e-13  # Rounding, which the page does not write.
        assert describe_point(point)["trace_error"] == 0
        # The loss is quadratic: the model is exact.
        result = figure.results[0.05]
        for notion in ("worst", "ascent"):
            value = float(result.sharpness[notion].value)
            assert result.predicted[notion] == pytest.approx(value, rel=1e-6)
    # At a minimum the gradient is zero.
    nn.init.zeros_(line.weight)
    nn.init.ones_(line.bias)
    with closing(explore(line, nn.MSELoss(), (inputs, torch.ones(2, 1).double()))) as figure:
        figure.wait(PATIENCE)
        assert figure.point is not None
        assert bool(figure.point.cosines.isnan().all())
        assert figure.sentence().endswith("and the gradient is zero.")
        worst = float(figure.sharpness["worst"].value)
        assert worst == pytest.approx(0.05**2 * float(expected[0]) / 2, rel=1e-6)
        assert json.loads(state_of(figure.to_html()))["_point"]["cosines"] == [None] * 3


# ── What it leaves alone ─────────────────────────────────────────────────────────────────────────


def test_the_network_is_never_changed_and_may_be_trained_meanwhile() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 12), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.Linear(12, 1))
    data = torch.randn(30, 4), torch.randn(30, 1)
    nn.functional.mse_loss(model(data[0]), data[1]).backward()
    before = copy.deepcopy(model.state_dict())
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    random = torch.get_rng_state()
    with closing(explore(model, nn.MSELoss(), data, samples=16)) as figure:
        figure.wait(PATIENCE)
        assert torch.equal(torch.get_rng_state(), random)
        assert model.training
        assert all(module.training for module in model.modules())
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name]), name
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            assert parameter.grad is not None
            assert torch.equal(parameter.grad, gradient)
        # The figure stays that of the network as it was.
        as_it_was = copy.deepcopy(model)
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.add_(1)
        figure.rho = 0.06
        figure.wait(PATIENCE)
        with closing(explore(as_it_was, nn.MSELoss(), data, rho=0.06, samples=16)) as other:
            other.wait(PATIENCE)
            for notion, sharpness in other.sharpness.items():
                assert float(figure.sharpness[notion].value) == float(sharpness.value)
        as_it_was.eval()
        with torch.no_grad():
            loss = nn.functional.mse_loss(as_it_was(data[0]), data[1])
        assert figure.point is not None
        assert figure.point.loss == pytest.approx(float(loss), rel=1e-5)


def test_it_warns_of_nothing_from_its_thread(recwarn: pytest.WarningsRecorder) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 1))
    data = torch.randn(30, 4), torch.randn(30, 1)
    with closing(explore(model, nn.MSELoss(), data, rho=1e-4, samples=16)) as figure:
        figure.wait(PATIENCE)
        # What is lost to rounding shows in the error.
        average = figure.sharpness["average"]
        assert float(average.error) > 0.1 * abs(float(average.value))
    assert [str(each.message) for each in recwarn] == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_it_measures_on_the_gpu_and_keeps_numbers_only(problem: Problem) -> None:
    model = copy.deepcopy(problem.model).cuda()
    data = problem.inputs.cuda(), problem.targets.cuda()
    with closing(explore(model, nn.MSELoss(), data, rho=RADII[1])) as figure:
        figure.wait(PATIENCE)
        with closing(problem.explore(rho=RADII[1])) as there:
            there.wait(PATIENCE)
            for notion in ("worst", "ascent"):
                here, other = (f.sharpness[notion].value for f in (figure, there))
                assert here.device.type == "cpu"
                torch.testing.assert_close(here, other, rtol=1e-5, atol=0)
