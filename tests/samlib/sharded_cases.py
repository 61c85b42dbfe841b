"""A network for two processes that hold half of each weight, trained as one process trains it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from optimizers import FAMILY, LR
from torch import Tensor, nn

from samlib.optim import SharpnessAware

ROWS = slice(None)
SGD = partial(torch.optim.SGD, lr=LR, momentum=0.9)
SHARDED = [name for name in FAMILY if name != "EigenSAM"]


class Case:
    """A network, this process's rows, and an optimizer.

    Its weights are cut unevenly, 5 rows in 3 and 2; of the last layer, which has one row, the
    second process holds nothing.
    """

    def __init__(
        self,
        name: str,
        rows: slice = ROWS,
        shard: Callable[[nn.Sequential], nn.Module | None] | None = None,
        *,
        base: Callable[..., torch.optim.Optimizer] = SGD,
        radii: list[float] | None = None,
        **settings: Any,
    ) -> None:
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        inner = nn.Sequential(nn.Linear(5, 4), nn.Tanh())
        self.model: nn.Module = nn.Sequential(
            nn.Linear(3, 5), nn.Tanh(), inner, nn.Linear(4, 1)
        ).double()
        with torch.no_grad():
            for p in self.model.parameters():
                p.copy_(normal(*p.shape))
        self.inputs, self.targets = normal(8, 3)[rows], normal(8, 1)[rows]
        self.model = (shard(self.model) if shard else None) or self.model
        own: list[Any] = list(self.model.parameters())
        if radii is not None:
            own = [{"params": [p], "rho": rho} for p, rho in zip(own, radii, strict=True)]
        groups = [dict(each) if isinstance(each, dict) else each for each in own]
        if name == "MSAM":  # as many rows in all processes together
            settings["m"] = 4 if rows == ROWS else 2
        self.optimizer: SharpnessAware = FAMILY[name](own, base(groups), **settings)

    def loss(self, inputs: Tensor | None = None, targets: Tensor | None = None) -> Tensor:
        inputs = self.inputs if inputs is None else inputs
        return nn.functional.mse_loss(
            self.model(inputs), self.targets if targets is None else targets
        )

    def backward(self, *batch: Tensor) -> Tensor:
        loss = self.loss(*batch)
        loss.backward()
        return loss

    def train(self, steps: int, also: Callable[[], Any] = lambda: None) -> Case:
        """Take steps with a closure, which calls ``also`` at its end."""

        def closure(*batch: Tensor) -> Tensor:
            loss = self.loss(*batch) if self.optimizer.takes_loss else self.backward(*batch)
            also()
            return loss

        for _ in range(steps):
            batch = (self.inputs, self.targets) if self.optimizer.takes_batch else ()
            self.optimizer.step(closure, *batch)
        return self

    def train_in_two_steps(self, steps: int) -> Case:
        """Take steps in a loop of one's own, with clipping and a learning-rate schedule."""
        schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 1, gamma=0.8)
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.backward()
            for _ in range(self.optimizer.ascents):
                self.optimizer.first_step()
                self.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
            self.optimizer.second_step()
            schedule.step()
        return self

    def weights(self) -> Tensor:
        """All weights, as one vector; on shards, all processes must ask at once."""
        return torch.cat([whole(p).flatten() for p in self.model.parameters()])

    @torch.no_grad()
    def parts(self) -> list[Tensor]:
        """A copy of what this process holds."""
        held: list[Any] = [p for group in self.optimizer.param_groups for p in group["params"]]
        return [(p.to_local() if hasattr(p, "to_local") else p).clone() for p in held]

    @torch.no_grad()
    def outputs(self) -> Tensor:
        outputs: Tensor = self.model(self.inputs)
        return outputs


def whole(tensor: Any) -> Tensor:
    full: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full.detach()


def start(rank: int, folder: str) -> None:
    """Join the two processes."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
