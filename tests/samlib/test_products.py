"""Products with several vectors together: the same as one by one, in fewer operations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from samlib import Objective, Operator, hessian
from samlib.objective.products import how_many_pay
from tests.samlib.test_operator import CPU, symmetric

CLASSES, MIB = 3, 2**20


def of(matrix: Tensor, seen: list[torch.Size]) -> Operator:
    """The operator of a matrix, which notes how many vectors it is given."""

    def product(v: Tensor) -> Tensor:
        seen.append(v.shape)
        return matrix @ v

    return Operator(len(matrix), CPU, matrix.dtype, product, matmat=product)


class Operations(TorchDispatchMode):  # type: ignore[misc]
    """Counts the operations that are started."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations(function: Callable[[], object]) -> int:
    with Operations() as counting:
        function()
    return counting.count


def perceptron(rows: int = 30, batches: int = 1, seed: int = 0) -> Objective:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 20), nn.Tanh(), nn.Linear(20, CLASSES)).double()
    inputs, targets = torch.randn(rows, 5).double(), torch.randint(0, CLASSES, (rows,))
    pairs = list(zip(inputs.split(rows // batches), targets.split(rows // batches), strict=True))
    data: Any = pairs[0] if batches == 1 else pairs
    return Objective.from_module(model, nn.CrossEntropyLoss(), data)


# ------------------------------------------------------------------------------------ operators


@pytest.mark.parametrize(
    ("combined", "matrices"),
    [
        (lambda one, two: one + two, lambda one, two: one + two),
        (lambda one, two: -2.5 * one, lambda one, two: -2.5 * one),
        (lambda one, two: one.restricted(KEPT), lambda one, two: one[KEPT][:, KEPT]),
        (lambda one, two: 2 * (one.restricted(KEPT)), lambda one, two: 2 * one[KEPT][:, KEPT]),
    ],
)
def test_what_is_combined_takes_several_vectors_together(
    combined: Callable[[Any, Any], Any], matrices: Callable[[Tensor, Tensor], Tensor]
) -> None:
    one, two = symmetric(7, 1), symmetric(7, 2)
    seen: list[torch.Size] = []
    operator, matrix = combined(of(one, seen), of(two, seen)), matrices(one, two)
    vectors = torch.randn(operator.dim, 4, dtype=torch.float64)
    torch.testing.assert_close(operator @ vectors, matrix @ vectors)
    assert set(seen) == {torch.Size([7, 4])}
    torch.testing.assert_close(operator @ vectors[:, 0], matrix @ vectors[:, 0])
    assert torch.Size([7]) in seen


KEPT = torch.arange(7) % 3 != 1


def test_a_sum_with_an_operator_that_takes_one_vector_gives_it_one() -> None:
    one, two = symmetric(7, 1), symmetric(7, 2)
    single = Operator(7, CPU, two.dtype, lambda v: two @ v if v.dim() == 1 else v[:, :0])
    vectors = torch.randn(7, 4, dtype=torch.float64)
    for whole in (of(one, []) + single, single + of(one, [])):
        torch.testing.assert_close(whole @ vectors, (one + two) @ vectors)


def test_matmat_must_be_a_function() -> None:
    with pytest.raises(TypeError, match="matmat"):
        Operator(2, CPU, torch.float32, lambda v: v, matmat=3)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------- Hessians


@pytest.mark.parametrize("batches", [1, 3])
def test_products_of_a_network_together_are_those_with_its_dense_hessian(batches: int) -> None:
    objective = perceptron(batches=batches)
    x = objective.flat_parameters()
    operator = hessian(objective, x)
    vectors = torch.randn(len(x), 9).double()
    exact = objective.hessian(x) @ vectors
    for _ in range(2):  # the first time, more is looked at
        torch.testing.assert_close(operator @ vectors, exact)
    torch.testing.assert_close(operator @ vectors[:, :1], exact[:, :1])
    torch.testing.assert_close(operator @ vectors[:, 0], exact[:, 0])


def test_products_with_the_hessian_of_a_function_together() -> None:
    objective = Objective(lambda x: torch.cosh(x).sum() + x[0] * x[1] ** 2, 70)
    x = torch.randn(70).double()
    operator, vectors = hessian(objective, x), torch.randn(70, 9).double()
    torch.testing.assert_close(operator @ vectors, objective.hessian(x) @ vectors)
    constant = hessian(Objective(lambda x: x.sum(), 70), x)
    assert not bool((constant @ vectors).any())


def test_a_small_network_takes_several_vectors_in_the_operations_of_one() -> None:
    objective = perceptron()
    x = objective.flat_parameters()
    operator, vectors = hessian(objective, x), torch.randn(len(x), 12).double()
    operator @ vectors  # measures, and looks at the loss
    one = operations(lambda: operator @ vectors[:, 0])
    assert operations(lambda: operator @ vectors) <= 2.5 * one


def test_over_batches_each_is_evaluated_once_for_all_vectors() -> None:
    calls = []

    class Counting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(x.shape)
            return super().forward(x)

    batches = [(torch.randn(4, 3), torch.randn(4, 1)) for _ in range(3)]
    objective = Objective.from_module(Counting(3, 1), nn.MSELoss(), batches)
    operator = hessian(objective, objective.flat_parameters())
    operator @ torch.randn(4, 6)
    calls.clear()  # the first evaluation had more to see
    operator @ torch.randn(4, 6)
    assert len(calls) == 3


def test_what_vmap_cannot_follow_goes_one_by_one_in_silence() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.last = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.last(self.layer(x)[0][:, -1])
            return scores

    torch.manual_seed(0)
    data = torch.randn(4, 5, 4), torch.randint(0, CLASSES, (4,))
    objective = Objective.from_module(Recurrent(), nn.CrossEntropyLoss(), data)
    x = objective.flat_parameters()
    operator, vectors = hessian(objective, x), torch.randn(len(x), 5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        together = operator @ vectors
    assert [str(warning.message) for warning in caught] == []
    one_by_one = torch.stack([operator @ v for v in vectors.T], dim=1)
    torch.testing.assert_close(together, one_by_one, rtol=1e-4, atol=1e-6)
    assert objective.obstacle is None, "points are another matter"  # type: ignore[attr-defined]


def test_an_error_of_the_network_is_raised_as_it_is() -> None:
    class Same(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

    class Breaking(Same):
        @staticmethod
        def backward(ctx: Any, slope: Tensor) -> Tensor:
            return Broken.apply(slope)  # type: ignore[no-any-return]

    class Broken(Same):
        @staticmethod
        def backward(ctx: Any, slope: Tensor) -> Tensor:
            raise RuntimeError("no second derivative")

    objective = Objective(lambda x: Breaking.apply(x).square().sum(), 70)
    with pytest.raises(RuntimeError, match="no second derivative"):
        hessian(objective, torch.ones(70)) @ torch.ones(70, 5)


# -------------------------------------------------------------------------------- how many


def test_memory_does_not_grow_with_vectors_that_need_much() -> None:
    for device in (CPU, torch.device("cuda")):
        assert how_many_pay(2**30, device, 100) == 1


def test_large_operations_go_one_by_one_on_the_cpu_and_together_elsewhere() -> None:
    assert how_many_pay(6 * MIB, CPU, 12) == 1
    assert how_many_pay(6 * MIB, torch.device("cuda"), 12) >= 24
    assert how_many_pay(MIB // 8, CPU, 12) >= 12
    assert how_many_pay(MIB // 8, CPU, 2) == 1


def test_no_product_is_made_twice_where_they_go_one_by_one() -> None:
    objective = perceptron(rows=9000)
    x = objective.flat_parameters()
    operator = hessian(objective, x)
    operator @ x
    one = operations(lambda: operator @ x)
    together = operations(lambda: operator @ torch.ones(len(x), 5).double())
    assert together <= 5.2 * one + 5
