"""On a pretended CUDA device, on any machine: no devices are mixed, and the host waits rarely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from device_cases import FOUR, LARGE, MEASURED, RULES, classifier, double, point, points, weighted
from optimizers import (
    Problem,
    every_optimizer,
    make,
    scaled_step,
    scaler_for,
    step,
    two_step,
    two_step_optimizers,
)
from pretended_cuda import CPU, CUDA, Device, pretended_cuda
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, TensorDataset

import samlib
from samlib.training import AccuracyMonitor, SharpnessMonitor, fit

pytestmark = [
    pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device: see test_cuda.py"),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


@pytest.fixture
def cuda() -> Iterator[Device]:
    with pretended_cuda() as device:
        yield device


# ---------------------------------------------------------------------------- the pretended device

MIXED: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "a sum": lambda there, here: there + here,
    "a sum in place": lambda there, here: there.add_(here),
    "a number in place": lambda there, here: torch.tensor(1.0).add_(there[0]),
    "a product": lambda there, here: there @ here,
    "a stack of numbers": lambda there, here: torch.stack([there[0], here[0]]),
    "within vmap": lambda there, here: torch.func.vmap(lambda x: x * here)(there.expand(2, 3)),
    "an index there": lambda there, here: here[torch.zeros(1, dtype=torch.int64, device=CUDA)],
    "a list of tensors": lambda there, here: torch._foreach_add_([there], [here]),
    "a generator": lambda there, here: torch.randn(
        3, device=CUDA, generator=torch.Generator().manual_seed(0)
    ),
    "a generator there": lambda there, here: torch.randn(
        3, generator=torch.Generator(CUDA).manual_seed(0)
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_the_device_refuses_what_is_elsewhere(cuda: Device, name: str) -> None:
    there, here = torch.ones(3, device=CUDA), torch.ones(3)
    assert (there.device, here.device) == (CUDA, CPU)
    with pytest.raises(RuntimeError, match=r"[Ee]xpected"):
        MIXED[name](there, here)


def test_the_device_takes_numbers_and_shows_none(cuda: Device) -> None:
    x = torch.tensor([1.0, 2.0], device=CUDA)
    assert (x * 2 + torch.tensor(1.0)).tolist() == [3.0, 5.0]
    assert torch.where(x > 1, torch.tensor(0.0), x).device == CUDA
    for refused in (x.numpy, x.__array__):
        with pytest.raises(TypeError, match="numpy"):
            refused()


WAITS: dict[str, tuple[int, Callable[[Tensor], Any]]] = {
    "arithmetic": (0, lambda x: (x * 2 + x.sum()).clamp(min=0)),
    "numbers in Python": (0, lambda x: torch.full_like(x, 2.0) + 1),
    "a place": (0, lambda x: x[1] + x[..., 0] + x[:2]),
    "an index there": (0, lambda x: x[torch.zeros(2, dtype=torch.int64, device=CUDA)]),
    "a mask to be filled": (0, lambda x: x.__setitem__(x > 0, 0.0)),
    "a choice": (0, lambda x: torch.where(x > 0, x, 0.0)),
    "a pinned copy": (0, lambda x: torch.ones(3).pin_memory().to(CUDA, non_blocking=True)),
    "a copy there": (1, lambda x: torch.ones(3).to(CUDA)),
    "a copy into": (1, lambda x: x.copy_(torch.ones(3))),
    "a list as tensor": (1, lambda x: x.new_tensor([1.0])),
    "a list as index": (1, lambda x: x[[0, 1]]),
    "a copy back": (1, lambda x: x.cpu()),
    "a list": (1, lambda x: x.tolist()),
    "float": (1, lambda x: float(x.sum())),
    "bool": (1, lambda x: bool((x > 0).any())),
    "item": (1, lambda x: x[0].item()),
    "if": (1, lambda x: 1 if x.isfinite().all() else 2),
    "a place there": (1, lambda x: x[x.argmax()]),
    "a mask": (1, lambda x: x[x > 0]),
    "a mask to be written to": (1, lambda x: x.__setitem__(x > 0, x.clone())),
    "nonzero": (1, lambda x: x.nonzero()),
    "equal": (1, lambda x: torch.equal(x, x)),
    "eigenvalues": (1, lambda x: torch.linalg.eigh(torch.outer(x, x))),
}


@pytest.mark.parametrize("name", WAITS)
def test_the_device_counts_waits(cuda: Device, name: str) -> None:
    x = torch.ones(3, device=CUDA)
    expected, run = WAITS[name]
    run(x)
    assert len(cuda.waits) == expected, cuda.waits


def test_afterwards_there_is_no_device() -> None:
    with pretended_cuda():
        x = torch.ones(3, device=CUDA)
    with pytest.raises(AssertionError):
        x + 1
    with pytest.raises((AssertionError, RuntimeError)):
        torch.ones(3, device=CUDA)
    assert not torch.cuda.is_available()
    assert torch.ones(3).device == CPU


# ------------------------------------------------------------------------------------- the numbers


def assert_same(there: Any, here: Any, rtol: float = 1e-7) -> None:
    """The same operations on the same numbers, but for how often the host looks at them."""
    brought = [each.cpu() if isinstance(each, Tensor) else each for each in tree_leaves(there)]
    for one, two in zip(brought, tree_leaves(here), strict=True):
        if isinstance(two, Tensor):
            torch.testing.assert_close(one, two, rtol=rtol, atol=1e-11, equal_nan=True)
        else:
            assert one == two


@pytest.mark.parametrize("name", MEASURED)
def test_what_is_measured_there_is_that_of_the_cpu(name: str) -> None:
    here = MEASURED[name](CPU)
    with pretended_cuda():
        assert_same(MEASURED[name](CUDA), here)


def trained(device: torch.device, name: str, use: str) -> list[Tensor]:
    """The weights after some steps, and after some more from a checkpoint made on the CPU."""
    problem = Problem(device)
    optimizer = make(name, problem, momentum=0.9)
    scaler = scaler_for(device) if use == "scaled" else None
    for _ in range(4):
        if use == "in two steps":
            two_step(problem, optimizer, micro_batches=2)
        elif scaler is not None:
            scaled_step(problem, optimizer, scaler)
            scaler.update()
        else:
            step(problem, optimizer)
    return [problem.weights(), *(p.grad for p in problem.model.parameters() if p.grad is not None)]


@every_optimizer
@pytest.mark.parametrize("use", ["closure", "scaled"])
def test_optimizers_step_there_as_on_the_cpu(name: str, use: str) -> None:
    here = trained(CPU, name, use)
    with pretended_cuda():
        assert_same(trained(CUDA, name, use), here)


@two_step_optimizers
def test_two_steps_there_are_those_of_the_cpu(name: str) -> None:
    here = trained(CPU, name, "in two steps")
    with pretended_cuda():
        assert_same(trained(CUDA, name, "in two steps"), here)


# ----------------------------------------------------------------------------------------- waiting


def waits_of(cuda: Device, run: Callable[[], object]) -> int:
    before = len(cuda.waits)
    run()
    return len(cuda.waits) - before


def steps_wait(cuda: Device, take: Callable[[], object]) -> int:
    """How often six steps wait, after those in which the rounding is first looked at."""
    for _ in range(4):
        take()
    return waits_of(cuda, lambda: [take() for _ in range(6)])


@every_optimizer
def test_a_step_does_not_wait(cuda: Device, name: str) -> None:
    problem = Problem(CUDA)
    optimizer = make(name, problem, momentum=0.9)
    assert steps_wait(cuda, lambda: step(problem, optimizer)) == 0, cuda.waits


@two_step_optimizers
def test_two_steps_do_not_wait(cuda: Device, name: str) -> None:
    problem = Problem(CUDA)
    optimizer = make(name, problem, momentum=0.9)
    assert steps_wait(cuda, lambda: two_step(problem, optimizer)) == 0, cuda.waits


@every_optimizer
def test_a_step_with_a_scaler_waits_for_its_gradients(cuda: Device, name: str) -> None:
    """Of each, a GradScaler has to know whether it is finite."""
    problem = Problem(CUDA)
    optimizer, scaler = make(name, problem, momentum=0.9), scaler_for(CUDA)

    def take() -> None:
        scaled_step(problem, optimizer, scaler)
        scaler.update()

    gradients = {"MSAM": 6, "AMP": 4}.get(name, 2)  # MSAM: with m = 3 of 8 rows
    assert 0 < steps_wait(cuda, take) <= 6 * gradients, cuda.waits


def test_sam_looks_at_rounding_once_in_a_hundred_steps(cuda: Device) -> None:
    problem = Problem(CUDA)
    optimizer = problem.sam()
    assert waits_of(cuda, lambda: [step(problem, optimizer) for _ in range(201)]) == 3


def products(operator: Callable[[Tensor], Tensor], x: Tensor, count: int) -> None:
    for _ in range(count):
        operator(x)


def simulated(name: str, objective: samlib.Objective, x: Tensor, steps: int) -> None:
    start = torch.stack([x, x / 2])
    samlib.simulate(objective, RULES[name](CUDA), start, steps, every=steps, record=["x"], seed=0)


def iterated(products: int) -> None:
    """Lanczos on a spectrum that has no end soon."""
    diagonal = torch.linspace(1, 2, 400, dtype=torch.float64, device=CUDA)
    matrix = samlib.Operator(400, CUDA, torch.float64, lambda v: diagonal * v)
    samlib.top_eigenpairs(matrix, rtol=1e-12, max_products=products)


# How often a turn of a loop may wait, a few turns and many, and the loop: (objective, x, turns).
# Lanczos looks once in four products; between two chains it moves small matrices to and fro.
LOOPS: dict[str, tuple[float, int, int, Callable[[Any, Tensor, int], object]]] = {
    "Hessian products": (0, 2, 9, lambda o, x, n: products(o.hessian_operator(x), x, n)),
    "Gauss-Newton products": (
        *(0, 2, 9),
        lambda o, x, n: products(samlib.gauss_newton(o, x).matvec, x, n),
    ),
    "Fisher products": (0, 2, 9, lambda o, x, n: products(samlib.fisher(o, x).matvec, x, n)),
    "values": (0, 2, 9, lambda o, x, n: products(o.value, x, n)),
    "losses of rows": (
        *(0, 2, 9),
        lambda o, x, n: o.component_gradient(x.expand(n, -1), torch.arange(n, device=CUDA)),
    ),
    "Lanczos": (0.3, 40, 240, lambda o, x, n: iterated(n)),
    "trace": (0.2, 40, 80, lambda o, x, n: samlib.trace(o, x, rtol=1e-9, max_products=n)),
    "spectral density": (
        *(0.5, 8, 32),  # of each of two random vectors
        lambda o, x, n: samlib.spectral_density(o, x, probes=2, steps=n),
    ),
    "average direction": (
        *(0, 8, 128),
        lambda o, x, n: samlib.average_direction_sharpness(o, x, 0.1, samples=n),
    ),
    **{
        f"simulate {name}": (0, 4, 12, lambda o, x, n, name=name: simulated(name, o, x, n))
        for name in RULES
    },
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_turn_of_a_loop_seldom_waits(cuda: Device, name: str) -> None:
    most, few, many, loop = LOOPS[name]
    objective, x = classifier(CUDA, weighted(CUDA))
    loop(objective, x, few)  # whatever is made sure of once
    short, long = (waits_of(cuda, lambda n=n: loop(objective, x, n)) for n in (few, many))
    assert long - short <= most * (many - few), cuda.waits[-long:]


@pytest.mark.parametrize("name", RULES)
def test_a_step_of_simulate_does_not_wait_on_a_landscape(cuda: Device, name: str) -> None:
    short, long = (
        waits_of(cuda, lambda n=n: simulated(name, FOUR, point(CUDA), n)) for n in (5, 25)
    )
    assert short == long, cuda.waits[-long:]


@pytest.mark.parametrize("order", [0, 1, 2])
def test_batches_do_not_wait(cuda: Device, order: int) -> None:
    """Not even for how many labels of a batch count."""

    def run(count: int) -> Callable[[], object]:
        data = [(torch.ones(2, 4, device=CUDA).double(), torch.ones(2, device=CUDA).long())] * count
        model = samlib.networks.perceptron((4, 3), seed=0).to(CUDA)
        objective = samlib.Objective.from_module(model, nn.CrossEntropyLoss(), data)
        x = objective.flat_parameters()
        objective.value(x)  # looks twice, once
        derivatives = (objective.value, objective.gradient, objective.hessian_operator(x))
        return lambda: derivatives[order](x)

    short, long = (waits_of(cuda, run(n)) for n in (2, 8))
    assert short == long, cuda.waits[-long:]


def test_a_search_of_the_ball_waits_for_its_looks(cuda: Device) -> None:
    """At four products by Lanczos, and at the rounds."""
    objective, x = classifier(CUDA)
    found = samlib.worst_direction_sharpness(objective, x, 0.1, restarts=2)
    assert len(cuda.waits) <= found.evaluations / 7, cuda.waits


def test_a_dense_search_waits_once_a_round(cuda: Device) -> None:
    """For the eigenvalues of small matrices, and once in four rounds whether to go on."""
    at = points(CUDA)
    # Four rounds, with what is made sure of before and after.
    assert waits_of(cuda, lambda: samlib.worst_direction_sharpness(FOUR, at, 0.1)) <= 13


def test_the_smallest_eigenvalue_waits_once_in_four_products(cuda: Device) -> None:
    x = torch.zeros(70, dtype=torch.float64, device=CUDA)
    found = samlib.smallest_nonzero_eigenvalue(LARGE, x)
    assert len(cuda.waits) <= found.products / 4 + 6


def test_flows_wait_for_what_the_host_integrates(cuda: Device) -> None:
    """A point there and a velocity back, and one look; some more where Newton's method is tried."""
    x = points(CUDA) * double(1, 1, 0.1, 0.1).to(CUDA)
    before = len(cuda.waits)
    found = samlib.project_to_minimizers(FOUR, x, rtol=1e-6, atol=1e-6)
    assert len(cuda.waits) - before <= 4 * found.evaluations
    before = len(cuda.waits)
    path = samlib.limiting_flow(FOUR, found.x[0], "trace", [0, 1], rtol=1e-6, atol=1e-6)
    assert len(cuda.waits) - before <= 7 * path.evaluations


def fitted(
    epochs: int, batch_size: int | None = None, loads: bool = False, of: torch.device = CUDA
) -> None:
    problem = Problem(CUDA)
    data: Any = problem.inputs.to(of), problem.targets.to(of)
    if loads:
        data = DataLoader(TensorDataset(*data), batch_size=4)
    loss_fn, model = nn.functional.mse_loss, problem.model
    options = {"epochs": epochs, "batch_size": batch_size, "progress": False}
    fit(model, data, problem.sam(), loss_fn=loss_fn, **options)


@pytest.mark.parametrize("of", [CPU, CUDA])
def test_training_waits_once_in_a_hundred_steps(cuda: Device, of: torch.device) -> None:
    short, long = (waits_of(cuda, lambda n=n: fitted(n, of=of)) for n in (20, 220))
    assert long - short == 2 * 2  # for rounding and for the losses


@pytest.mark.parametrize("loads", [False, True])
def test_training_waits_for_the_order_of_an_epoch(cuda: Device, loads: bool) -> None:
    size = None if loads else 2
    short, long = (waits_of(cuda, lambda n=n: fitted(n, size, loads)) for n in (2, 8))
    assert long - short == (0 if loads else 6)


def test_monitors_wait_a_few_times_a_reading(cuda: Device) -> None:
    model = samlib.networks.perceptron((4, 12, 3), seed=0).to(CUDA)
    data = torch.ones(6, 4, device=CUDA).double(), (torch.arange(6) % 3).to(CUDA)
    measure = ("top_eigenvalue", "alignment")
    monitor = SharpnessMonitor(measure, data=data, loss_fn=nn.CrossEntropyLoss())
    monitor(0, model)
    monitor(1, model)  # from here on, from the eigenvector before
    assert waits_of(cuda, lambda: monitor(2, model)) <= 16, cuda.waits[-24:]

    def accuracy(batches: int) -> Callable[[], object]:
        return lambda: AccuracyMonitor([data] * batches)(0, model)

    assert waits_of(cuda, accuracy(9)) == waits_of(cuda, accuracy(1)) == 1
