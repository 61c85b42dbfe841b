"""On a CUDA device: the host waits rarely, memory is bounded, and the numbers are the CPU's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from optimizers import Problem, every_optimizer, make, step
from torch import Tensor, nn

import samlib
from samlib import Objective

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

CUDA = torch.device("cuda")


@contextmanager
def counted_waits() -> Iterator[Callable[[], int]]:
    """Count how often torch says that the host waits for the device."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lambda: sum("synchronizing CUDA" in str(w.message) for w in caught)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def waits(run: Callable[[], object]) -> int:
    run()  # whatever is set up once
    with counted_waits() as count:
        run()
        return count()


def test_the_count_sees_a_wait() -> None:
    x = torch.ones(3, device=CUDA)
    assert waits(lambda: float(x.sum())) == 1
    assert waits(lambda: x.sum()) == 0


def network(width: int = 100, device: torch.device = CUDA) -> Objective:
    """A perceptron of 20 to width to 3, more than 64 parameters, on 200 rows."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = (torch.randn(200, n, generator=generator).to(device) for n in (20, 3))
    model = samlib.problems.perceptron((20, width, 3), seed=0, dtype=torch.float32).to(device)
    return Objective.from_module(model, nn.MSELoss(), (inputs, targets))


# --------------------------------------------------------------------------------- rare waits


@every_optimizer
def test_no_optimizer_waits(name: str) -> None:
    problem = Problem(CUDA)
    optimizer = make(name, problem, momentum=0.9)
    for _ in range(4):
        step(problem, optimizer)
    with counted_waits() as count:
        for _ in range(6):
            step(problem, optimizer)
        assert count() == 0


@pytest.mark.parametrize("rule", ["GradientDescent", "SAM", "UnnormalizedSAM", "AscentLossDescent"])
def test_simulate_does_not_wait_between_steps(rule: str) -> None:
    valley = samlib.landscapes.FourDimensional()
    start = torch.tensor([0.3, 0.1, 0.1, 0.0], dtype=torch.float64, device=CUDA)
    arguments = {} if rule == "GradientDescent" else {"rho": torch.linspace(0.01, 0.1, 8)}
    the_rule = getattr(samlib.rules, rule)(lr=0.01, **arguments)

    def run(steps: int) -> Callable[[], object]:
        return lambda: samlib.simulate(valley, the_rule, start, steps, every=steps, record=["x"])

    assert waits(run(40)) == waits(run(10))


def test_a_hessian_product_does_not_wait() -> None:
    objective = network()
    product = objective.hessian_operator(objective.flat_parameters())
    vector = torch.ones(objective.dim, device=CUDA)
    assert waits(lambda: [product(vector) for _ in range(5)]) == 0


def test_lanczos_waits_once_in_four_products() -> None:
    objective = network()
    x = objective.flat_parameters()

    def run() -> None:
        samlib.top_eigenpairs(objective, x, k=1, rtol=1e-12, max_products=200)

    assert waits(run) <= 200 / 4 * 1.5 + 20


def test_the_trace_waits_only_to_look() -> None:
    objective = network()
    x = objective.flat_parameters()

    def run(products: int) -> Callable[[], object]:
        return lambda: samlib.trace(objective, x, rtol=1e-9, max_products=products, progress=False)

    assert waits(run(400)) - waits(run(200)) <= 20


def test_the_average_direction_does_not_wait_between_samples() -> None:
    objective = network()
    x = objective.flat_parameters()

    def run(samples: int) -> Callable[[], object]:
        return lambda: samlib.average_direction_sharpness(objective, x, 0.1, samples=samples)

    assert waits(run(2048)) == waits(run(64))


def test_training_does_not_wait_between_steps() -> None:
    def run(epochs: int) -> Callable[[], object]:
        problem = Problem(CUDA)
        data = (problem.inputs, problem.targets)
        return lambda: samlib.training.fit(
            problem.model,
            data,
            problem.sam(),
            loss_fn=nn.functional.mse_loss,
            epochs=epochs,
            batch_size=2,
            seed=0,
            progress=False,
        )

    assert waits(run(20)) - waits(run(2)) == 18  # the order of an epoch's batches, 4 steps


# ------------------------------------------------------------------------------------- memory


def peak(run: Callable[[], object]) -> int:
    """The most bytes that a second run takes beside what is there already."""
    run()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated() - before


def test_the_memory_of_eigenpairs_and_trace_does_not_grow_with_the_products() -> None:
    objective = network(width=2000)
    x = objective.flat_parameters()

    def pairs(products: int) -> Callable[[], object]:
        return lambda: samlib.top_eigenpairs(objective, x, k=1, rtol=1e-12, max_products=products)

    def trace(products: int) -> Callable[[], object]:
        return lambda: samlib.trace(objective, x, rtol=1e-9, max_products=products, progress=False)

    vector = x.numel() * x.element_size()
    assert peak(pairs(240)) <= peak(pairs(60)) + 2 * vector
    assert peak(trace(400)) <= peak(trace(200)) + 2 * vector


# ------------------------------------------------------------------------- the CPU's numbers


def test_sharpness_and_curvature_are_those_of_the_cpu() -> None:
    def measure(device: str) -> list[Tensor]:
        problem = Problem(torch.device(device))
        model, data = problem.model, (problem.inputs, problem.targets)
        objective = Objective.from_module(model, nn.MSELoss(), data)
        x = objective.flat_parameters()
        found = [
            samlib.worst_direction_sharpness(objective, x, 0.1).value,
            samlib.ascent_direction_sharpness(objective, x, 0.1).value,
            samlib.top_eigenpairs(objective, x, k=3, rtol=1e-10).values,
            samlib.trace(objective, x).value,
            samlib.alignment(objective, x),
            samlib.stochastic_sharpness(objective, x, 0.1, notion="ascent_direction").value,
        ]
        return [value.cpu() for value in found]

    for here, there in zip(measure("cuda"), measure("cpu"), strict=True):
        torch.testing.assert_close(here, there, rtol=1e-9, atol=1e-11)


def test_a_larger_network_agrees_in_single_precision() -> None:
    def measure(device: torch.device) -> list[Tensor]:
        objective = network(device=device)
        x = objective.flat_parameters()
        found = [
            samlib.top_eigenpairs(objective, x, k=5, rtol=1e-3).values,
            samlib.trace(objective, x).value,
            samlib.worst_direction_sharpness(objective, x, 0.1).value,
        ]
        return [value.cpu() for value in found]

    for there, here in zip(measure(CUDA), measure(torch.device("cpu")), strict=True):
        torch.testing.assert_close(there, here, rtol=1e-3, atol=0)
