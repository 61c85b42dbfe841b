"""What each of two processes does for the tests of parameters gathered for single operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from group_cases import PROCESSES, Results, outcome
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import weight_norm

from samlib import Objective
from samlib.objective.points import bytes_needed

FEATURES, TOKENS = 8, 10


class Scaled(torch.autograd.Function):
    """A product whose derivatives are not torch's."""

    @staticmethod
    def forward(x: Tensor, scale: Tensor) -> Tensor:
        return x * scale

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        x, scale = ctx.saved_tensors
        return slopes[0] * scale, (slopes[0] * x).sum((0, 1))


class Block(nn.Module):
    """Takes parameters in every way: by layers, whole, in part, written onto, by a Function."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(FEATURES, 2, batch_first=True)
        self.norm = nn.LayerNorm(FEATURES)
        self.linear = nn.Linear(FEATURES, FEATURES)
        self.scale = nn.Parameter(torch.rand(FEATURES))
        self.other = nn.Parameter(1 + torch.rand(FEATURES))
        self.last = weight_norm(nn.Linear(FEATURES, FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        h = x + self.attention(h, h, h, need_weights=False)[0]
        h = h + self.scale * torch.tanh(self.linear(h))
        h += self.scale
        h = h.mul_(self.other[:FEATURES]) + self.linear.weight[0] + self.linear.weight.t()[1]
        return self.last(Scaled.apply(h, self.other))  # type: ignore[no-untyped-call, no-any-return]


class Language(nn.Module):
    """A small language model with tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, FEATURES)
        self.positions = nn.Parameter(torch.randn(5, FEATURES))
        self.blocks = nn.ModuleList([Block(), Block()])
        self.convolution = nn.Conv1d(FEATURES, FEATURES, 3, padding=1)
        self.head = nn.Linear(FEATURES, TOKENS, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        x = self.convolution(x.transpose(1, 2)).transpose(1, 2)
        return self.head(x.to(self.head.weight.dtype))  # type: ignore[no-any-return]


def language(*, spread: bool) -> nn.Module:
    torch.manual_seed(0)
    model = Language().double()
    if not spread:
        return model
    for block in model.blocks:
        fully_shard(block)
    return fully_shard(model)


def tokens() -> Tensor:
    return torch.randint(0, TOKENS, (9, 5), generator=torch.Generator().manual_seed(1))


def penalized(model: Any, batch: Tensor) -> Tensor:
    """A cross-entropy and a penalty that reads all parameters."""
    penalty = sum(p.square().sum() for p in model.parameters())
    loss = F.cross_entropy(model(batch).flatten(0, 1), batch.roll(1, 1).flatten())
    return loss + 0.01 * penalty


class Experts(nn.Module):
    """Each row goes to one of two experts, which the other rows do not use."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        self.all = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, 0] > 0
        for expert, chosen in zip(self.experts, (first, ~first), strict=True):
            if chosen.any():
                x = x + chosen[:, None] * torch.tanh(expert(x))
        return self.all(x)  # type: ignore[no-any-return]


def experts(*, spread: bool) -> nn.Module:
    torch.manual_seed(0)
    model = Experts().double()
    return fully_shard(model) if spread else model


def routed() -> Tensor:
    """Rows of which the first six go to one expert and the others to the other."""
    rows = torch.randn(9, 3, generator=torch.Generator().manual_seed(2)).double()
    rows[:, 0] = rows[:, 0].abs() * (torch.arange(9) < 6).double().mul(2).sub(1)
    return rows


def squared(model: Any, batch: Tensor) -> Tensor:
    return (model(batch) ** 2).mean()


def evaluated(objective: Any) -> Results:
    """The loss and its derivatives."""
    x, whole = objective.flat_parameters(), objective.shards.whole
    v = objective.shards.part(torch.sin(torch.arange(float(objective.dim)).double()))
    return {
        "value": objective.value(x),
        "values": objective.value(torch.stack([x, 1.1 * x])),
        "gradients": whole(objective.gradient(torch.stack([x, 1.1 * x]))),
        "product": whole(objective.hessian_vector_product(x, v)),
        "kept product": whole(objective.hessian_operator(x)(v)),
    }


def deep(*, spread: bool) -> nn.Module:
    """Of 24 equal layers."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(32, 32, bias=False) for _ in range(24))).double()
    return fully_shard(model) if spread else model


def vectors_needed(model: nn.Module) -> float:
    """The memory of a product in vectors, where vectors are spread."""
    data = [torch.randn(1, 32, generator=torch.Generator().manual_seed(1)).double()]
    objective = Objective.from_loss(
        model, squared, data, process_group=dist.group.WORLD, shard_vectors=True, check=False
    )
    x = objective.flat_parameters()
    bytes_of = bytes_needed(lambda: objective.hessian_operator(x)(x))
    return bytes_of / (8 * objective.dim)


def gathered(rank: int) -> Results:
    def over(model: nn.Module, loss: Any, data: Any) -> Any:
        return Objective.from_loss(model, loss, data, process_group=dist.group.WORLD)

    some, rows = tokens(), routed()
    uneven = [[some[:4]], [some[4:5], some[5:7], some[7:]]][rank]
    none = [some[:4], some[4:]] if rank else []
    to_experts = [[rows[:6]], [rows[6:]]][rank]
    wrong = [*uneven, some.double()] if rank else uneven
    failing = Objective.from_loss(
        language(spread=True), penalized, wrong, process_group=dist.group.WORLD, check=False
    )
    x = failing.flat_parameters()
    return {
        "uneven": evaluated(over(language(spread=True), penalized, uneven)),
        "no rows": evaluated(over(language(spread=True), penalized, none)),
        "experts": evaluated(over(experts(spread=True), squared, to_experts)),
        "said": [
            outcome(lambda: failing.gradient(x)),
            outcome(lambda: failing.hessian_operator(x)(x)),
        ],
        "memory": {
            "gathered": vectors_needed(deep(spread=True)),
            "whole": vectors_needed(deep(spread=False)),
        },
    }


def work(rank: int, folder: str) -> None:
    """Do all of it in one of the processes, and save the results."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES
    )
    torch.save(gathered(rank), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
