"""The largest eigenvalues, by each library."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import hessian_eigenthings as eigenthings
import numpy as np
import torch
from pyhessian import hessian as pyhessian
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

import samlib
from peers.cases import Case
from peers.operators import eigenthings_operator, linear_operator

# The eigenvalues, and the products they took, where that is known.
Answer = tuple[Tensor, int | None]


def ours(case: Case, k: int, rtol: float) -> Answer:
    """Lanczos with a residual test, from the module to the eigenvalues."""
    model, loss_fn, inputs, targets = case
    objective = samlib.Objective.from_module(model, loss_fn, (inputs, targets))
    found = samlib.top_eigenpairs(objective, objective.flat_parameters(), k=k, rtol=rtol)
    return found.values, found.products


def scipy_over_our_products(case: Case, k: int, tol: float) -> Answer:
    """SciPy's eigsh over samlib's product."""
    model, loss_fn, inputs, targets = case
    objective = samlib.Objective.from_module(model, loss_fn, (inputs, targets))
    product = objective.hessian_operator(objective.flat_parameters())
    return eigenvalues_by_scipy(
        lambda v: product(torch.from_numpy(v).to(inputs.device)).cpu().numpy(),
        objective.dim,
        k,
        tol,
    )


def linear_operators(case: Case, k: int, tol: float) -> Answer:
    """SciPy's eigsh over curvlinops' Hessian."""
    operator = linear_operator(case).to_scipy()
    return eigenvalues_by_scipy(operator.matvec, operator.shape[0], k, tol)


def eigenvalues_by_scipy(matvec: Callable[[Any], Any], dim: int, k: int, tol: float) -> Answer:
    products = 0

    def counted(v: Any) -> Any:
        nonlocal products
        products += 1
        return matvec(v.astype(np.float32).reshape(-1))

    operator = LinearOperator((dim, dim), matvec=counted, dtype=np.float32)
    start = np.random.default_rng(0).standard_normal(dim).astype(np.float32)
    values = eigsh(operator, k, which="LA", tol=tol, v0=start, return_eigenvectors=False)
    return torch.as_tensor(np.sort(values)[::-1].copy()), products


def iterated(case: Case, k: int, iterations: int | None) -> Any:
    """hessian-eigenthings' Lanczos, with so many iterations or its own number."""
    return eigenthings.lanczos(
        eigenthings_operator(case), k=k, which="LA", seed=0, max_iter=iterations, tol=1e-2
    )


def answer(found: Any) -> Answer:
    return found.eigenvalues.sort(descending=True).values, int(found.iterations)


def doubled(case: Case, k: int) -> tuple[Answer, int, float]:
    """Double the iterations until it says that it has converged; time the last run, too."""
    products, iterations = 0, 2 * k
    while True:
        begin = time.perf_counter()
        found = iterated(case, k, iterations)
        seconds = time.perf_counter() - begin
        values, done = answer(found)
        products += done
        if bool(found.converged.all()) or iterations > 200:
            return (values, products), done, seconds
        iterations *= 2


def power_iterated(case: Case, k: int) -> Answer:
    """PyHessian's power iteration, with its own tolerance."""
    model, loss_fn, inputs, targets = case
    torch.manual_seed(0)
    computer = pyhessian(model, loss_fn, data=(inputs, targets), cuda=inputs.is_cuda)
    values, _ = computer.eigenvalues(top_n=k)
    model.zero_grad(set_to_none=True)
    return torch.as_tensor(values, dtype=torch.float64), None
