"""Following a function once, to have its operations without it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functionalize
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx


def follow(
    function: Callable[..., Tensor],
    *inputs: Tensor,
    decompositions: Mapping[Any, Callable[..., Any]] | None = None,
) -> GraphModule | None:
    """The operations of a function of tensors like these, to be run again and again.

    The function is followed with tensors that have a shape and no numbers. So a function that
    looks at numbers, to branch on them or to leave torch, cannot be followed, and is not taken for
    what it does at one point. Give None for it, and where random numbers are drawn.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has been called before, and has warned then
            graph = make_fx(
                functionalize(lambda *tensors: function(*tensors)),
                decomposition_table=dict(decompositions or {}),
                tracing_mode="fake",
                _allow_non_fake_inputs=True,  # what it holds itself, such as data
            )(*inputs)
    except Exception:  # whatever a function raises that asks for numbers
        return None
    if any(torch.Tag.nondeterministic_seeded in tags_of(node.target) for node in graph.graph.nodes):
        return None
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def tags_of(operation: Any) -> list[Any]:
    """What torch says of an operation; nothing of what is none."""
    return getattr(operation, "tags", [])
