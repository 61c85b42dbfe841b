"""samlib.Operator against dense matrices, and in place of (objective, x)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import samlib
from samlib import Objective, Operator, hessian
from samlib.linalg.operator import rounding_error

CPU = torch.device("cpu")


def symmetric(dim: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    return (matrix + matrix.T).to(dtype)


def of(matrix: Tensor, **options: Any) -> Operator:
    return Operator(len(matrix), CPU, matrix.dtype, lambda v: matrix @ v, **options)


# ------------------------------------------------------------------------------------- algebra


@pytest.mark.parametrize("dim", [1, 7])
def test_sums_multiples_and_restrictions_are_those_of_the_matrices(dim: int) -> None:
    one, two = symmetric(dim, 1), symmetric(dim, 2)
    kept = torch.arange(dim) % 3 != 1
    cases = {
        "itself": (of(one), one),
        "sum": (of(one) + of(two), one + two),
        "multiple": (of(one) * -2.5, -2.5 * one),
        "multiple from the left": (-2.5 * of(one), -2.5 * one),
        "restricted": (of(one).restricted(kept), one[kept][:, kept]),
        "all": (
            3 * (of(one) + 0.5 * of(two)).restricted(kept),
            (3 * one + 1.5 * two)[kept][:, kept],
        ),
    }
    for name, (operator, matrix) in cases.items():
        v = torch.randn(operator.dim, 3, dtype=torch.float64)
        torch.testing.assert_close(operator.to_dense(), matrix, msg=name)
        torch.testing.assert_close(operator @ v, matrix @ v, msg=name)
        torch.testing.assert_close(operator @ v[:, 0], matrix @ v[:, 0], msg=name)


def test_what_is_not_quite_symmetric_is_made_so_in_the_dense_matrix() -> None:
    matrix = torch.tensor([[1.0, 2.0], [4.0, 3.0]])
    assert of(matrix).to_dense().tolist() == [[1, 3], [3, 3]]


@pytest.mark.parametrize(
    "combined",
    [
        lambda one, two: one + two,
        lambda one, two: two + one,
        lambda one, two: 2.0 * one,
        lambda one, two: one.restricted(torch.tensor([True, False, True])),
    ],
)
def test_the_operator_nearby_is_combined_alike(
    combined: Callable[[Operator, Operator], Operator],
) -> None:
    matrix, moved, other = (symmetric(3, seed) for seed in range(3))
    one = of(matrix, rounding=1e-3, nearby=lambda: of(moved))
    whole = combined(one, of(other))
    assert whole.rounding == 1e-3
    assert whole.nearby is not None
    expected = combined(of(moved), of(other)).to_dense()
    torch.testing.assert_close(whole.nearby().to_dense(), expected)
    assert (of(matrix) + of(other)).nearby is None


def test_the_error_of_a_product_is_measured_or_some_units() -> None:
    matrix, moved, v = symmetric(5), symmetric(5, 1), torch.eye(5, dtype=torch.float64)[0]
    eps = torch.finfo(torch.float64).eps
    measured = rounding_error(of(matrix, nearby=lambda: of(moved)), v, matrix @ v)
    assert float(measured) >= float(((moved - matrix) @ v).norm())
    units = float(rounding_error(of(matrix, rounding=1e-2), v, matrix @ v))
    assert units >= 1e-2 * float((matrix @ v).norm())
    assert float(rounding_error(of(matrix), v, 0 * v, scale=9.0)) >= 9 * eps


# -------------------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dim": 0}, ValueError, "dim"),
        ({"dim": 2.0}, TypeError, "dim"),
        ({"device": "nowhere"}, ValueError, "device"),
        ({"dtype": torch.int64}, ValueError, "dtype"),
        ({"dtype": "float32"}, TypeError, "dtype"),
        ({"matvec": 3}, TypeError, "matvec"),
        ({"rounding": 0.0}, ValueError, "rounding"),
        ({"rounding": "fine"}, TypeError, "rounding"),
        ({"nearby": 3}, TypeError, "nearby"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    right = {"dim": 2, "device": CPU, "dtype": torch.float32, "matvec": lambda v: v}
    with pytest.raises(error, match=message):
        Operator(**{**right, **arguments})


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda h: h @ torch.ones(3), ValueError, "vector must have shape"),
        (lambda h: h @ torch.ones(2, 2, 2), ValueError, "vector must have shape"),
        (lambda h: h @ torch.ones(()), ValueError, "vector must have shape"),
        (lambda h: h @ torch.ones(2).double(), ValueError, "vector must have dtype"),
        (lambda h: h @ torch.ones(2, device="meta"), ValueError, "vector must have dtype"),
        (lambda h: h @ [1.0, 2.0], TypeError, "vector must be a torch.Tensor"),
        (lambda h: h + 1, TypeError, "other must be"),
        (lambda h: h + of(symmetric(3, dtype=torch.float32)), ValueError, "same dim"),
        (lambda h: h + of(symmetric(2)), ValueError, "same dim, device and dtype"),
        (lambda h: h.restricted(torch.tensor([False, False])), ValueError, "kept must be"),
        (lambda h: h.restricted(torch.tensor([True])), ValueError, "kept must be"),
        (lambda h: h.restricted(torch.tensor([0, 1])), ValueError, "kept must be"),
        (lambda h: h.restricted([True, False]), ValueError, "kept must be"),
    ],
)
def test_what_does_not_fit_an_operator_is_refused(
    use: Callable[[Operator], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        use(of(symmetric(2, dtype=torch.float32)))


# ----------------------------------------------------------------- in place of an objective and x

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "top_eigenpairs": samlib.top_eigenpairs,
    "trace": samlib.trace,
    "smallest": samlib.smallest_nonzero_eigenvalue,
    "spectral_density": samlib.spectral_density,
}


def numbers(result: Any) -> list[Tensor]:
    names = ("values", "value", "errors", "error", "vectors", "nodes", "weights")
    return [getattr(result, name) for name in names if hasattr(result, name)]


def cosh(dim: int) -> tuple[Objective, Tensor]:
    """Σ sᵢ cosh xᵢ, with a Hessian that is known, and a point."""
    scales = torch.linspace(0.5, 2, dim) ** 2
    x = torch.randn(dim, generator=torch.Generator().manual_seed(0))
    return Objective(lambda x: (scales.to(x) * torch.cosh(x)).sum(), dim), x


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dim", [5, 80])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operator_gives_what_the_objective_and_x_give(
    name: str, dim: int, dtype: torch.dtype
) -> None:
    objective, x = cosh(dim)
    x = x.to(dtype)
    function = FUNCTIONS[name]
    ours = function(hessian(objective, x))
    theirs = function(objective, x)
    assert ours.products == theirs.products
    for one, other in zip(numbers(ours), numbers(theirs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("dim", [5, 80])
def test_alignment_with_an_operator_takes_the_gradient(dim: int) -> None:
    objective, x = cosh(dim)
    ours = samlib.alignment(hessian(objective, x), objective.gradient(x), k=2)
    torch.testing.assert_close(ours, samlib.alignment(objective, x, k=2))


@pytest.mark.parametrize("dim", [5, 80])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_x_is_for_objectives_alone(name: str, dim: int) -> None:
    objective, x = cosh(dim)
    with pytest.raises(TypeError, match="x must be left out beside an operator"):
        FUNCTIONS[name](hessian(objective, x), x)
    with pytest.raises(TypeError, match="x must be a"):
        FUNCTIONS[name](objective)
    with pytest.raises(TypeError, match="loss must be a"):
        FUNCTIONS[name](symmetric(dim), x)


# --------------------------------------------------------------------------------- half precision


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dim", [5, 64, 65, 90])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precisions_give_values_within_their_errors(half: torch.dtype, dim: int) -> None:
    objective, x = cosh(dim)
    x = x.to(half)
    hessian_diagonal = torch.linspace(0.5, 2, dim).double() ** 2 * torch.cosh(x.double())
    truth = hessian_diagonal.sort(descending=True).values
    eps = torch.finfo(half).eps
    for arguments in ((objective, x), (hessian(objective, x),)):
        pairs = samlib.top_eigenpairs(*arguments, k=2, rtol=0.05)
        assert bool(((pairs.values.double() - truth[:2]).abs() <= pairs.errors.double()).all())
        assert bool((pairs.errors.double() >= eps / 2 * truth[:2]).all())
        total = samlib.trace(*arguments, rtol=0.05)
        off = abs(float(total.value) - float(truth.sum()))
        assert off <= 2 * float(total.error)
        last = samlib.smallest_nonzero_eigenvalue(*arguments, rank=2, rtol=0.05)
        assert abs(float(last.values[0]) - float(truth[1])) <= float(last.errors[0])
        density = samlib.spectral_density(*arguments, probes=2, steps=10)
        assert bool(density.nodes.isfinite().all())
    aligned = samlib.alignment(objective, x, k=1)
    assert aligned.dtype == half
    assert 0 <= float(aligned) <= 1


# ------------------------------------------------------------------------------ calls per product


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("confidence", [0, 0.99])
def test_on_product_is_called_once_a_product(k: int, confidence: float) -> None:
    matrix, calls, products = symmetric(100), [], []
    operator = Operator(100, CPU, matrix.dtype, lambda v: products.append(1) or matrix @ v)  # type: ignore[func-returns-value]
    result = samlib.top_eigenpairs(
        operator, k=k, rtol=0.01, confidence=confidence, on_product=lambda: calls.append(1)
    )
    assert len(calls) == len(products) == result.products


@pytest.mark.parametrize("seed", range(5))
def test_what_a_coarse_search_leaves_over_is_not_taken_for_rounding(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.rand(300, generator=generator) ** 2
    objective = Objective(lambda x: (spectrum.to(x) * x**2).sum() / 2, 300)
    x = torch.randn(300, generator=generator)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = samlib.top_eigenpairs(objective, x, k=2, rtol=0.2, confidence=0)
    left = (spectrum[:, None] * found.vectors - found.vectors * found.values).norm(dim=0)
    assert found.converged
    assert float(left.max()) > 1e-3, "the case leaves something over"
    torch.testing.assert_close(found.residuals, left, rtol=0.01, atol=1e-6)
