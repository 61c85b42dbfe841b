"""Every optimizer of samlib.optim is its paper's formula, and all of them are safe to use."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from test_optim import Problem
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from samlib import Objective, optim
from samlib.optim import SharpnessAware

# torch's advice against what EigenSAM's two-step use needs; the gradients are cleared at once
pytestmark = pytest.mark.filterwarnings("ignore:Using backward")

LR = 0.05
FAMILY: dict[str, Callable[..., SharpnessAware]] = {
    "SAM": partial(optim.SAM, rho=0.1),
    "UnnormalizedSAM": partial(optim.UnnormalizedSAM, rho=0.1),
    "ASAM": partial(optim.ASAM, rho=0.3, eta=0.02),
    "GSAM": partial(optim.GSAM, rho=0.1, alpha=0.4),
    "LookSAM": partial(optim.LookSAM, rho=0.1, alpha=0.7, every=3),
    "MSAM": partial(optim.MSAM, rho=0.1, m=3),
    "EigenSAM": partial(optim.EigenSAM, rho=0.1, alpha=0.5, every=3, power_steps=4),
    "AWP": partial(optim.AWP, rho=0.05),
    "AMP": partial(optim.AMP, rho=0.1, inner_lr=0.5, inner_steps=3),
    "DiametricalRisk": partial(optim.DiametricalRisk, rho=0.1, directions=5),
}
BY_LOSS = ("EigenSAM", "DiametricalRisk")
TWO_STEP = [name for name in FAMILY if name not in ("MSAM", "DiametricalRisk")]


@pytest.fixture
def problem(device: torch.device) -> Problem:
    return Problem(device)


every_optimizer = pytest.mark.parametrize("name", FAMILY)
two_step_optimizers = pytest.mark.parametrize("name", TWO_STEP)


def make(name: str, problem: Problem, momentum: float = 0.0, **settings: Any) -> SharpnessAware:
    parameters = list(problem.model.parameters())
    base = torch.optim.SGD(parameters, lr=LR, momentum=momentum)
    return FAMILY[name](parameters, base, **settings)


def step(problem: Problem, optimizer: SharpnessAware, before: Any = lambda: None) -> Any:
    """One step with the closure that the optimizer asks for; ``before`` runs in every call."""

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        before()
        return nn.functional.mse_loss(problem.model(inputs), targets)

    def backward(inputs: Tensor, targets: Tensor) -> Tensor:
        value = loss(inputs, targets)
        value.backward()
        return value

    if isinstance(optimizer, optim.MSAM):
        return optimizer.step(backward, problem.inputs, problem.targets)
    by_loss = isinstance(optimizer, optim.EigenSAM | optim.DiametricalRisk)
    call = loss if by_loss else backward
    return optimizer.step(lambda: call(problem.inputs, problem.targets))


def two_step(problem: Problem, optimizer: SharpnessAware, micro_batches: int = 1) -> None:
    """One step in a loop of one's own, gradients accumulated over micro-batches."""

    def backward(create_graph: bool = False) -> None:
        pairs = zip(
            problem.inputs.chunk(micro_batches), problem.targets.chunk(micro_batches), strict=True
        )
        for inputs, targets in pairs:
            loss = nn.functional.mse_loss(problem.model(inputs), targets) / micro_batches
            loss.backward(create_graph=create_graph)

    optimizer.zero_grad()
    backward(create_graph=getattr(optimizer, "refreshes", False))
    for _ in range(optimizer.ascents):
        optimizer.first_step()
        backward()
    optimizer.second_step()


# ------------------------------------------------------------------------------- the formulas


def project(vector: Tensor, onto: Tensor) -> Tensor:
    return (vector @ onto) / (onto @ onto) * onto


def awp_direction(problem: Problem, x: Tensor, g: Tensor) -> Tensor:
    pieces, place = [], 0
    for p in problem.model.parameters():
        part = slice(place, place := place + p.numel())
        ratio = x[part].norm() / g[part].norm() if p.dim() > 1 else 0.0
        pieces.append(ratio * g[part])
    return torch.cat(pieces)


def one_perturbation(name: str, problem: Problem, x: Tensor) -> Tensor:
    g = problem.objective.gradient(x)
    if name == "SAM":
        return 0.1 * g / g.norm()
    if name == "UnnormalizedSAM":
        return 0.1 * g
    if name == "ASAM":
        t = x.abs() + 0.02
        return 0.3 * t**2 * g / (t * g).norm()
    assert name == "AWP"
    return 0.05 * awp_direction(problem, x, g)


@pytest.mark.parametrize("name", ["SAM", "UnnormalizedSAM", "ASAM", "AWP"])
def test_the_update_is_the_gradient_at_the_papers_perturbation(name: str, problem: Problem) -> None:
    optimizer, x = make(name, problem), problem.weights()
    for _ in range(5):
        x = x - LR * problem.objective.gradient(x + one_perturbation(name, problem, x))
        step(problem, optimizer)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


def test_gsam_takes_away_the_part_of_the_gradient_orthogonal_to_the_perturbed_one(
    problem: Problem,
) -> None:
    optimizer, x, gradient = make("GSAM", problem), problem.weights(), problem.objective.gradient
    for _ in range(5):
        g = gradient(x)
        g_p = gradient(x + 0.1 * g / g.norm())
        x = x - LR * (g_p - 0.4 * (g - project(g, g_p)))
        step(problem, optimizer)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


def test_looksam_uses_its_direction_again_between_sam_steps(problem: Problem) -> None:
    optimizer, x, gradient = make("LookSAM", problem), problem.weights(), problem.objective.gradient
    for t in range(7):
        g = gradient(x)
        if t % 3 == 0:
            update = gradient(x + 0.1 * g / g.norm())
            g_v = update - project(update, g)
        else:
            update = g + 0.7 * g.norm() / g_v.norm() * g_v
        x = x - LR * update
        calls: list[int] = []
        step(problem, optimizer, partial(calls.append, 1))
        assert len(calls) == (2 if t % 3 == 0 else 1)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


def test_msam_averages_the_sam_gradients_of_m_rows(problem: Problem) -> None:
    optimizer, x = make("MSAM", problem), problem.weights()
    data = list(zip(problem.inputs.split(3), problem.targets.split(3), strict=True))
    assert [len(inputs) for inputs, _ in data] == [3, 3, 2]
    parts = [Objective.from_module(problem.model, nn.MSELoss(), pair) for pair in data]
    for _ in range(4):
        loss, update = torch.zeros(()).to(x), torch.zeros_like(x)
        for part, (inputs, _) in zip(parts, data, strict=True):
            g = part.gradient(x)
            update += len(inputs) / 8 * part.gradient(x + 0.1 * g / g.norm())
            loss += len(inputs) / 8 * part.value(x)
        x = x - LR * update
        torch.testing.assert_close(step(problem, optimizer), loss)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)


def test_msam_of_the_whole_batch_is_sam(device: torch.device) -> None:
    one, other = Problem(device), Problem(device)
    whole, sam = make("MSAM", one, m=8), make("SAM", other)
    for _ in range(3):
        step(one, whole)
        step(other, sam)
    assert torch.equal(one.weights(), other.weights())


def test_eigensam_leans_towards_the_top_eigenvector_of_the_dense_hessian(problem: Problem) -> None:
    optimizer, x = make("EigenSAM", problem, power_steps=300, every=2), problem.weights()
    for t in range(4):
        g = problem.objective.gradient(x)
        if t % 2 == 0:  # the eigenvector is kept in between
            values, vectors = torch.linalg.eigh(problem.objective.hessian(x))
            v = vectors[:, values.abs().argmax()]
        u = g / g.norm()
        d = u + 0.5 * torch.sign(g @ v) * (v - (u @ v) * u)
        x = x - LR * problem.objective.gradient(x + 0.1 * d / d.norm())
        step(problem, optimizer)
        torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-9)


def test_amp_ascends_in_the_ball(problem: Problem) -> None:
    for inner_lr in (0.01, 0.5):  # stays inside, is scaled back
        optimizer, x = make("AMP", problem, inner_lr=inner_lr), problem.weights()
        inside = []
        for _ in range(3):
            delta = torch.zeros_like(x)
            for _ in range(3):
                delta = delta + inner_lr * problem.objective.gradient(x + delta)
                inside.append(bool(delta.norm() <= 0.1))
                delta = delta if inside[-1] else 0.1 * delta / delta.norm()
            x = x - LR * problem.objective.gradient(x + delta)
            step(problem, optimizer)
            torch.testing.assert_close(problem.weights(), x, rtol=0, atol=1e-13)
        assert all(inside) == (inner_lr == 0.01)


def test_amp_with_one_long_step_is_sam(device: torch.device) -> None:
    one, other = Problem(device), Problem(device)
    amp, sam = make("AMP", one, inner_lr=1e6, inner_steps=1), make("SAM", other)
    step(one, amp)
    step(other, sam)
    torch.testing.assert_close(one.weights(), other.weights(), rtol=0, atol=1e-13)


def test_diametrical_risk_steps_with_the_gradient_at_the_worst_point_it_tried(
    problem: Problem,
) -> None:
    optimizer, objective = make("DiametricalRisk", problem), problem.objective
    worst = None
    for t in range(4):
        x, tried = problem.weights(), list[Tensor]()
        step(problem, optimizer, lambda tried=tried: tried.append(problem.weights()))
        first, *points, last = tried
        assert torch.equal(first, x)
        radii = (torch.stack(points) - x).norm(dim=1)
        torch.testing.assert_close(radii, torch.full_like(radii, 0.1))
        assert len(points) == (5 if t == 0 else 6)
        assert len(torch.unique(torch.stack(points), dim=0)) == len(points)
        if worst is not None:  # the worst direction of the step before is tried again
            torch.testing.assert_close(points[0] - x, worst)
        losses = objective.value(torch.stack(points))
        torch.testing.assert_close(last, points[int(losses.argmax())], rtol=0, atol=1e-13)
        expected = x - LR * objective.gradient(last)
        torch.testing.assert_close(problem.weights(), expected, rtol=0, atol=1e-13)
        worst = last - x


def test_the_directions_of_diametrical_risk_are_uniform_on_the_sphere(
    device: torch.device,
) -> None:
    x = nn.Parameter(torch.zeros(3, dtype=torch.float64, device=device))
    risk = optim.DiametricalRisk([x], torch.optim.SGD([x], lr=0.1), rho=1.0, directions=4000)
    points: list[Tensor] = []

    def closure() -> Tensor:
        points.append(x.detach().clone())
        return x.sum()

    risk.step(closure)
    v = torch.stack(points[1:-1])
    assert float(v.mean(dim=0).abs().max()) < 4 * (1 / math.sqrt(3 * 4000))
    covariance = v.T @ v / len(v)
    expected = torch.eye(3, dtype=torch.float64, device=device) / 3
    torch.testing.assert_close(covariance, expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("name", ["GSAM", "EigenSAM"])
def test_with_alpha_zero_it_is_sam(name: str, device: torch.device) -> None:
    one, other = Problem(device), Problem(device)
    optimizers = make(name, one, alpha=0.0), make("SAM", other)
    for _ in range(3):
        step(one, optimizers[0])
        step(other, optimizers[1])
    torch.testing.assert_close(one.weights(), other.weights(), rtol=0, atol=1e-14)


@every_optimizer
def test_at_a_stationary_point_nothing_becomes_nan(name: str, problem: Problem) -> None:
    with torch.no_grad():
        for p in problem.model.parameters():
            p.zero_()
    problem.targets.zero_()
    optimizer = make(name, problem)
    for _ in range(4):
        assert step(problem, optimizer).isfinite()
        assert bool(problem.weights().isfinite().all())


# --------------------------------------------------------------------------- what all share


@every_optimizer
def test_it_returns_the_loss_at_the_weights_before_the_step(name: str, problem: Problem) -> None:
    optimizer = make(name, problem)
    for _ in range(3):
        before = problem.objective.value(problem.weights())
        torch.testing.assert_close(step(problem, optimizer).detach(), before)


@two_step_optimizers
@pytest.mark.parametrize("micro_batches", [1, 4])
def test_two_steps_are_one_with_a_closure(
    name: str, micro_batches: int, device: torch.device
) -> None:
    one, other = Problem(device), Problem(device)
    optimizers = make(name, one, momentum=0.9), make(name, other, momentum=0.9)
    for _ in range(5):
        step(one, optimizers[0])
        two_step(other, optimizers[1], micro_batches)
    torch.testing.assert_close(other.weights(), one.weights(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in TWO_STEP if n not in BY_LOSS])
def test_a_closure_may_accumulate_micro_batches(name: str, device: torch.device) -> None:
    one, other = Problem(device), Problem(device)
    whole, accumulated = make(name, one), make(name, other)

    def closure() -> float:
        total = 0.0
        for rows in range(0, 8, 2):
            outputs = other.model(other.inputs[rows : rows + 2])
            loss = nn.functional.mse_loss(outputs, other.targets[rows : rows + 2]) / 4
            loss.backward()
            total += loss.item()
        return total

    for _ in range(4):
        expected = step(one, whole)
        assert math.isclose(accumulated.step(closure), float(expected.detach()))
    torch.testing.assert_close(other.weights(), one.weights(), rtol=0, atol=1e-12)


@every_optimizer
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_any_call_leaves_the_weights_bit_for_bit(
    name: str, error: type[BaseException], problem: Problem
) -> None:
    optimizer = make(name, problem, momentum=0.9)
    step(problem, optimizer)
    before = problem.weights()
    state = copy.deepcopy(optimizer.state_dict())
    calls = moved = 0
    for fail_at in range(1, 12):
        calls = 0

        def fail() -> None:
            nonlocal calls, moved
            calls += 1
            if calls == fail_at:  # noqa: B023
                moved += not torch.equal(problem.weights(), before)
                raise error("stop")

        if calls_of_a_step(name, 1) < fail_at:
            break
        with pytest.raises(error, match="stop"):
            step(problem, optimizer, fail)
        assert torch.equal(problem.weights(), before)
        assert_same_state(optimizer.state_dict(), state)
    assert moved > 0 or name == "LookSAM"  # which does not perturb in its second step
    step(problem, optimizer)  # and it goes on
    assert not torch.equal(problem.weights(), before)


def calls_of_a_step(name: str, t: int) -> int:
    return {"LookSAM": 2 if t % 3 == 0 else 1, "MSAM": 6, "AMP": 4, "DiametricalRisk": 8}.get(
        name, 2
    )


def assert_same_state(one: Any, other: Any) -> None:
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_state(one[key], other[key])
    else:
        assert one == other


@every_optimizer
def test_an_error_in_the_base_step_leaves_the_weights_too(name: str, problem: Problem) -> None:
    class Failing(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            for p in self.param_groups[0]["params"]:
                p.add_(1)
            raise RuntimeError("half way")

    parameters = list(problem.model.parameters())
    optimizer = FAMILY[name](parameters, Failing(parameters, lr=0.1))
    before = problem.weights()
    with pytest.raises(RuntimeError, match="half way"):
        step(problem, optimizer)
    assert torch.equal(problem.weights(), before)


@two_step_optimizers
def test_restore_ends_a_two_step(name: str, problem: Problem) -> None:
    optimizer, before = make(name, problem), problem.weights()
    loss = nn.functional.mse_loss(problem.model(problem.inputs), problem.targets)
    loss.backward(create_graph=getattr(optimizer, "refreshes", False))
    optimizer.first_step()
    assert not torch.equal(problem.weights(), before)
    optimizer.restore()
    assert torch.equal(problem.weights(), before)
    two_step(problem, optimizer)
    assert not torch.equal(problem.weights(), before)


@every_optimizer
def test_training_goes_on_from_a_saved_state_as_if_never_stopped(
    name: str, device: torch.device
) -> None:
    whole, first, second = Problem(device), Problem(device), Problem(device)
    uninterrupted, stopped = (make(name, p, momentum=0.9) for p in (whole, first))
    for _ in range(8):
        step(whole, uninterrupted)
    for _ in range(4):  # inside a period of LookSAM and EigenSAM
        step(first, stopped)
    file = io.BytesIO()
    torch.save({"model": first.model.state_dict(), "optimizer": stopped.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file)
    second.model.load_state_dict(saved["model"])
    resumed = make(name, second, momentum=0.9)
    resumed.load_state_dict(saved["optimizer"])
    for _ in range(4):
        step(second, resumed)
    assert torch.equal(second.weights(), whole.weights())
    assert_same_state(resumed.state_dict(), uninterrupted.state_dict())


@every_optimizer
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_model_and_optimizer_goes_on_by_itself(
    name: str, copied: Callable[[Any], Any], problem: Problem
) -> None:
    optimizer = make(name, problem, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    step(problem, optimizer)
    scheduler.step()
    model, twin = copied((problem.model, optimizer))
    other = Problem(problem.inputs.device)
    other.model = model
    assert type(twin) is type(optimizer)
    assert twin.param_groups is twin.base_optimizer.param_groups
    for _ in range(3):
        step(problem, optimizer)
        step(other, twin)
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert torch.equal(weights, problem.weights())


@every_optimizer
def test_a_step_never_waits_for_a_value_on_the_device(name: str, problem: Problem) -> None:
    class Forbid(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            waits = ("_local_scalar_dense", "nonzero", "is_nonzero")
            assert not any(name in str(func) for name in waits), str(func)
            return func(*args, **(kwargs or {}))

    optimizer = make(name, problem, momentum=0.9)
    step(problem, optimizer)  # looks once at what rounding leaves of the perturbation
    with Forbid():
        for _ in range(3):
            step(problem, optimizer)


@every_optimizer
def test_parameters_keep_their_storage(name: str, problem: Problem) -> None:
    # What holds a view of the weights, a flattened buffer or an average of them, must see a step.
    optimizer = make(name, problem)
    parameters = list(problem.model.parameters())
    views = [p.detach() for p in parameters]
    before = [view.clone() for view in views]
    for _ in range(4):
        step(problem, optimizer)
    assert [v.data_ptr() for v in views] == [p.data_ptr() for p in parameters]
    assert not any(torch.equal(v, old) for v, old in zip(views, before, strict=True))


@every_optimizer
def test_unused_parameters_stay_and_have_no_gradient(name: str, device: torch.device) -> None:
    problem = Problem(device)
    unused = nn.Parameter(torch.ones(3, dtype=torch.float64, device=device))
    parameters = [*problem.model.parameters(), unused]
    base = torch.optim.SGD(parameters, lr=LR, momentum=0.9, weight_decay=0.1)
    optimizer = FAMILY[name](parameters, base)
    for _ in range(4):
        step(problem, optimizer)
    assert unused.tolist() == [1, 1, 1]
    assert unused.grad is None


@every_optimizer
def test_a_radius_of_zero_moves_nothing(name: str, problem: Problem) -> None:
    optimizer, seen = make(name, problem, rho=0.0), list[Tensor]()
    before = problem.weights()
    step(problem, optimizer, lambda: seen.append(problem.weights()))
    assert all(torch.equal(x, before) for x in seen)


@pytest.mark.parametrize("name", ["SAM", "UnnormalizedSAM", "ASAM", "AWP", "AMP", "EigenSAM"])
def test_groups_with_radii_of_their_own_scale_the_perturbation(
    name: str, device: torch.device
) -> None:
    one, other = Problem(device), Problem(device)
    seen: dict[int, list[Tensor]] = {0: [], 1: []}
    settings = {"inner_steps": 1, "inner_lr": 1e3} if name == "AMP" else {}
    for place, (problem, radii) in enumerate(((one, (0.1, 0.1)), (other, (0.3, 0.1)))):
        first, last = list(problem.model[0].parameters()), list(problem.model[2].parameters())
        base = torch.optim.SGD([{"params": first}, {"params": last}], lr=LR)
        groups = [{"params": p, "rho": r} for p, r in zip((first, last), radii, strict=True)]
        optimizer = FAMILY[name](groups, base, **settings)
        step(problem, optimizer, lambda to=seen[place], of=problem: to.append(of.weights()))
    size = sum(p.numel() for p in one.model[0].parameters())
    same, scaled = (points[1] - points[0] for points in seen.values())
    torch.testing.assert_close(scaled[:size], 3 * same[:size], rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(scaled[size:], same[size:], rtol=1e-9, atol=1e-13)
    assert float(same[:size].norm()) > 0


# ----------------------------------------------------------------------- order and bad input


@every_optimizer
def test_out_of_order_calls_are_refused(name: str, problem: Problem) -> None:
    optimizer, before = make(name, problem), problem.weights()
    with pytest.raises(ValueError, match="needs a closure"):
        optimizer.step()
    with pytest.raises(RuntimeError, match=r"second_step\(\) after 0 calls of first_step"):
        optimizer.second_step()
    assert torch.equal(problem.weights(), before)


@pytest.mark.parametrize("name", ["MSAM", "DiametricalRisk"])
def test_without_two_step_use_it_says_so(name: str, problem: Problem) -> None:
    with pytest.raises(RuntimeError, match=r"use step\(closure"):
        make(name, problem).first_step()


def test_between_the_two_steps_only_the_second_may_come(problem: Problem) -> None:
    optimizer = make("SAM", problem)
    closure = problem.closure(optimizer)
    before = problem.weights()
    closure()
    optimizer.first_step()
    perturbed = problem.weights()
    for forbidden, message in (
        (optimizer.first_step, r"first_step\(\) after 1 call of first_step"),
        (lambda: optimizer.step(closure), "perturbed"),
        (optimizer.state_dict, "perturbed"),
        (lambda: optimizer.load_state_dict({}), "perturbed"),
        (lambda: optimizer.add_param_group({"params": []}), "perturbed"),
        (lambda: copy.deepcopy(optimizer), "perturbed"),
    ):
        with pytest.raises(RuntimeError, match=message):
            forbidden()
        assert torch.equal(problem.weights(), perturbed)
    with pytest.raises(ValueError, match=r"no parameter has a gradient"):
        optimizer.second_step()  # the second backward pass was forgotten
    assert torch.equal(problem.weights(), before)


def test_amp_counts_its_steps_of_ascent(problem: Problem) -> None:
    optimizer = make("AMP", problem)
    closure = problem.closure(optimizer)
    closure()
    optimizer.first_step()
    closure()
    with pytest.raises(RuntimeError, match=r"after 1 call of first_step\(\).*needs 3"):
        optimizer.second_step()
    optimizer.restore()


def test_a_two_step_that_clears_nothing_does_not_add_the_gradients_up(problem: Problem) -> None:
    # The first step has used its gradients; left in place, they would enter the update.
    optimizer, x = make("SAM", problem), problem.weights()
    for use in (optimizer.first_step, optimizer.second_step):
        nn.functional.mse_loss(problem.model(problem.inputs), problem.targets).backward()
        use()
    g = problem.objective.gradient(x)
    expected = x - LR * problem.objective.gradient(x + 0.1 * g / g.norm())
    torch.testing.assert_close(problem.weights(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", BY_LOSS)
def test_a_closure_that_should_return_the_loss_is_checked(name: str, problem: Problem) -> None:
    optimizer, before = make(name, problem), problem.weights()
    if name == "EigenSAM":
        with pytest.raises(ValueError, match=r"must not call backward"):
            optimizer.step(problem.closure(optimizer))
    with pytest.raises(TypeError, match="return the loss as a tensor"):
        optimizer.step(lambda: None)
    assert torch.equal(problem.weights(), before)


def test_eigensam_in_two_steps_needs_the_graph_of_the_gradient(problem: Problem) -> None:
    optimizer = make("EigenSAM", problem)
    problem.closure(optimizer)()
    with pytest.raises(ValueError, match=r"create_graph=optimizer\.refreshes"):
        optimizer.first_step()


def test_msam_needs_a_batch(problem: Problem) -> None:
    optimizer = make("MSAM", problem)
    for batch in ((), (problem.inputs, problem.targets[:3]), (torch.tensor(1.0),), ("ab", "cd")):
        with pytest.raises(ValueError, match="as many rows"):
            optimizer.step(problem.closure(optimizer), *batch)


@pytest.mark.parametrize(
    ("name", "settings", "argument"),
    [
        ("ASAM", {"eta": -1.0}, "eta"),
        ("GSAM", {"alpha": -1.0}, "alpha"),
        ("GSAM", {"alpha": math.nan}, "alpha"),
        ("LookSAM", {"every": 0}, "every"),
        ("LookSAM", {"alpha": math.inf}, "alpha"),
        ("MSAM", {"m": 0}, "m must"),
        ("EigenSAM", {"power_steps": 0}, "power_steps"),
        ("EigenSAM", {"seed": -1}, "seed"),
        ("AMP", {"inner_lr": 0.0}, "inner_lr"),
        ("AMP", {"inner_steps": 0}, "inner_steps"),
        ("DiametricalRisk", {"directions": 0}, "directions"),
        *((name, {"rho": -0.1}, "rho") for name in FAMILY),
    ],
)
def test_settings_out_of_range_are_refused(
    name: str, settings: dict[str, Any], argument: str, problem: Problem
) -> None:
    with pytest.raises(ValueError, match=argument):
        make(name, problem, **settings)


def test_base_optimizers_that_need_a_closure_are_refused(problem: Problem) -> None:
    parameters = list(problem.model.parameters())
    for base in (torch.optim.LBFGS(parameters), make("SAM", problem)):
        with pytest.raises(TypeError, match="without a closure"):
            optim.SAM(parameters, base, rho=0.1)


@every_optimizer
def test_it_tells_its_settings(name: str, problem: Problem) -> None:
    optimizer = make(name, problem, momentum=0.9)
    text = repr(optimizer)
    assert text.startswith(f"{name}(\n  rho={optimizer.param_groups[0]['rho']}")
    assert "momentum: 0.9" in text
    for setting, value in optimizer._settings().items():
        assert f"{setting}={value}" in text
