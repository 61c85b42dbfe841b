"""Replicas of a model: whether each perturbs with its own gradient or all with their average."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from torch import nn

from samlib._validation import require_name

PerturbWith = Literal["averaged", "local"]


def is_replicated(model: nn.Module | None) -> bool:
    """Whether the module averages gradients over replicas, and can be told not to."""
    return hasattr(model, "no_sync")


def require_perturb_with(perturb_with: PerturbWith, model: nn.Module | None) -> PerturbWith:
    """Return ``perturb_with`` if it is allowed for the model."""
    require_name("perturb_with", perturb_with, ("averaged", "local"))
    if perturb_with == "local" and hasattr(type(model), "set_requires_gradient_sync"):
        raise ValueError(
            "perturb_with='local' needs weights that each process can perturb by itself, but of "
            "those that fully_shard shards there is one copy for all: use "
            "perturb_with='averaged', or DistributedDataParallel"
        )
    if perturb_with == "local" and not is_replicated(model):
        raise ValueError(
            "perturb_with='local' needs model=, the DistributedDataParallel module, got "
            f"{type(model).__name__}"
        )
    return perturb_with


def first_pass(perturb_with: PerturbWith, model: nn.Module | None) -> AbstractContextManager[Any]:
    """Give the context of the first pass, whose gradient local perturbations do not average."""
    if perturb_with == "averaged":
        return nullcontext()
    context: AbstractContextManager[Any] = model.no_sync()  # type: ignore[union-attr,operator]
    return context
