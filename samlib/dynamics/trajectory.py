"""What happened when an update rule was repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from samlib.curvature import alignment, top_eigenpairs
from samlib.objective import Objective

RECORDABLE: Mapping[str, Callable[[Objective, Tensor, bool], Tensor]] = {
    "x": lambda objective, x, progress: x,
    "loss": lambda objective, x, progress: objective.value(x),
    "gradient": lambda objective, x, progress: objective.gradient(x),
    "alignment": lambda objective, x, progress: alignment(objective, x, progress=progress),
    "top_eigenvalue": lambda objective, x, progress: top_eigenpairs(
        objective, x, progress=progress
    ).values[..., 0],
}


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What :func:`simulate` recorded.

    Attributes
    ----------
    steps
        The recorded steps, LongTensor [records].
    data
        One tensor [batch, records, ...] per recorded name, also available as attributes and by
        ``trajectory[name]``.
    lr, rho
        η and ρ of each run, [batch]; ρ is None for a rule without a radius.
    """

    steps: Tensor
    data: Mapping[str, Tensor]
    lr: Tensor
    rho: Tensor | None

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.data:
            raise KeyError(f"{name!r} was not recorded; recorded: {', '.join(self.data)}")
        return self.data[name]

    def __getattr__(self, name: str) -> Tensor:
        # `data` itself is missing while an instance is being copied or unpickled.
        if name == "data" or name.startswith("_"):
            raise AttributeError(name)
        if name not in self.data:
            raise AttributeError(f"{name!r} was not recorded; recorded: {', '.join(self.data)}")
        return self.data[name]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per run and recorded step: run, step, lr, rho, then what was recorded.

        A vector such as x becomes the columns x1, …, xD.
        """
        batch, records = len(self.lr), len(self.steps)
        columns = {
            "run": np.repeat(np.arange(batch), records),
            "step": np.tile(self.steps.cpu().numpy(), batch),
            "lr": np.repeat(self.lr.cpu().numpy(), records),
        }
        if self.rho is not None:
            columns["rho"] = np.repeat(self.rho.cpu().numpy(), records)
        for name, values in self.data.items():
            flat = values.detach().cpu().numpy().reshape(batch * records, -1)
            if values.dim() == 2:
                columns[name] = flat[:, 0]
            else:
                columns.update({f"{name}{i + 1}": flat[:, i] for i in range(flat.shape[1])})
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        return (
            f"Trajectory(batch={len(self.lr)}, records={len(self.steps)}, "
            f"steps={int(self.steps[-1])}, recorded={list(self.data)})"
        )
