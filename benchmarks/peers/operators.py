"""The Hessian of a case, as the libraries have it."""

from __future__ import annotations

from typing import Any

import curvlinops
import hessian_eigenthings as eigenthings

from peers.cases import Case


def linear_operator(case: Case) -> Any:
    model, loss_fn, inputs, targets = case
    parameters = [p for p in model.parameters() if p.requires_grad]
    return curvlinops.HessianLinearOperator(
        model, loss_fn, parameters, [(inputs, targets)], check_deterministic=False
    )


def eigenthings_operator(case: Case) -> Any:
    model, loss_fn, inputs, targets = case
    loss = eigenthings.supervised_loss(loss_fn)
    return eigenthings.HessianOperator(model, [(inputs, targets)], loss)
