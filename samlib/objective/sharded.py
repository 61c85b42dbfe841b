"""Models whose parameters are spread over processes (FSDP2), read and written parameter by one.

An evaluation takes the parameters from x, and gathers them as it needs them. What FSDP does before
and after a forward, gathering and freeing its own parameters, stays out of it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn


def is_spread(parameter: Tensor) -> bool:
    """Whether each process holds a part of a parameter alone: whether it is a DTensor."""
    return hasattr(parameter, "full_tensor") and hasattr(parameter, "placements")


def whole(parameter: Tensor) -> Tensor:
    """A parameter as a plain tensor; all processes that hold parts of it must ask for it."""
    if not is_spread(parameter):
        return parameter
    gathered: Tensor = parameter.full_tensor()  # type: ignore[attr-defined]
    return gathered


def spread_like(values: Tensor, parameter: Any) -> Tensor:
    """Values that are whole in every process, spread as a parameter is."""
    if not is_spread(parameter):
        return values
    from torch.distributed.tensor import DTensor, Replicate

    mesh = parameter.device_mesh
    replicated = DTensor.from_local(values, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return replicated.redistribute(mesh, parameter.placements)


def reshard(model: nn.Module) -> None:
    """Let FSDP put the parameters back that a forward has left gathered.

    Raises
    ------
    ValueError
        If the parameters are spread otherwise than by FSDP2.
    """
    managed = False
    for module in model.modules():
        if type(module).__name__ == "FullyShardedDataParallel":
            raise ValueError(
                "the model is wrapped in FullyShardedDataParallel, which keeps its parameters in "
                "flat pieces; use torch.distributed.fsdp.fully_shard(model) in its place"
            )
        if hasattr(module, "unshard") and hasattr(module, "reshard"):
            module.reshard()  # type: ignore[operator]
            managed = True
    if not managed and any(map(is_spread, model.parameters())):
        raise ValueError(
            "the model's parameters are DTensors without fully_shard, so that its layers compute "
            "in parts (tensor parallelism): an evaluation with whole parameters does not fit "
            "them; give the model as it is before parallelize_module, and spread it by fully_shard"
        )


def without_gathering(hooks: OrderedDict[int, Any]) -> OrderedDict[int, Any]:
    """The hooks of a module but for those by which FSDP gathers and frees its parameters."""
    return OrderedDict((key, hook) for key, hook in hooks.items() if not _is_of_fsdp(hook))


def _is_of_fsdp(hook: Any) -> bool:
    return str(getattr(hook, "__module__", "")).startswith("torch.distributed.fsdp")
