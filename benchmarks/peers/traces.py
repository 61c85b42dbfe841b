"""The trace from a number of products, by each library."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import curvlinops
import hessian_eigenthings as eigenthings
import numpy as np
import torch
from pyhessian import hessian as pyhessian
from torch import Tensor

import samlib
from peers.cases import Case
from peers.operators import eigenthings_operator, linear_operator


def our_trace(case: Case, products: int, seed: int) -> float:
    model, loss_fn, inputs, targets = case
    objective = samlib.Objective.from_module(model, loss_fn, (inputs, targets))
    x = objective.flat_parameters()
    with warnings.catch_warnings(action="ignore"):
        found = samlib.trace(
            objective, x, rtol=1e-6, seed=seed, max_products=products, progress=False
        )
    return float(found.value)


def operator_trace(estimator: Callable[..., Tensor]) -> Callable[[Case, int, int], float]:
    def run(case: Case, products: int, seed: int) -> float:
        torch.manual_seed(seed)
        return float(estimator(linear_operator(case), products))

    return run


def eigenthings_trace(case: Case, products: int, seed: int) -> float:
    operator = eigenthings_operator(case)
    return float(eigenthings.trace(operator, num_matvecs=products, seed=seed).estimate)


def pyhessian_trace(case: Case, products: int, seed: int) -> float:
    model, loss_fn, inputs, targets = case
    torch.manual_seed(seed)
    computer = pyhessian(model, loss_fn, data=(inputs, targets), cuda=inputs.is_cuda)
    values = computer.trace(maxIter=products, tol=0.0)
    model.zero_grad(set_to_none=True)
    return float(np.mean(values))


TRACES: dict[str, tuple[Callable[[Case, int, int], float], tuple[int, ...]]] = {
    "samlib": (our_trace, (12, 18, 20, 22, 24, 28, 32, 48)),
    "curvlinops xtrace": (operator_trace(curvlinops.xtrace), (12, 18, 20, 22, 24, 28, 32, 48)),
    "curvlinops hutchpp_trace": (
        operator_trace(curvlinops.hutchpp_trace),
        (12, 24, 30, 36, 42, 48, 96),
    ),
    "hessian-eigenthings hutch++": (eigenthings_trace, (12, 24, 48, 96)),
    "PyHessian (Hutchinson)": (pyhessian_trace, (96, 192, 384)),
}
