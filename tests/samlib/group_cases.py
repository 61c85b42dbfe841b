"""What each of two processes does for the tests of an objective over a process group."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate.data_loader import BatchSamplerShard
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, SequentialSampler, Subset
from torch.utils.data import TensorDataset as Rows

import samlib
from samlib import Objective

PROCESSES = 2
Results = dict[str, Any]
QUIET = {"progress": False}


def make_model() -> nn.Sequential:
    """Of 160 parameters, an odd number of which is in each layer."""
    torch.manual_seed(0)
    layers = nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 6), nn.Tanh(), nn.Linear(6, 3, bias=False)
    return nn.Sequential(*layers).double()


def make_data(rows: int = 24) -> tuple[Tensor, Tensor]:
    """Some labels are ignored, more in the second half."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (rows,), generator=generator)
    labels[[1, *range(rows // 2, rows - 2, 3)]] = -100
    return torch.randn(rows, 6, generator=generator).double(), labels


def shares(rank: int) -> list[tuple[Tensor, Tensor]]:
    """One batch in the first process, two in the second, of different lengths."""
    inputs, labels = make_data()
    cuts = [[0, 7], [7, 10, 24]][rank]
    return [(inputs[i:j], labels[i:j]) for i, j in itertools.pairwise(cuts)]


def objective_over(data: Any, model: nn.Module | None = None, **options: Any) -> Any:
    """The objective of these tests, over a process group if none is named."""
    options = {"process_group": dist.group.WORLD, **options}
    return Objective.from_module(model or make_model(), F.cross_entropy, data, **options)


def evaluated(objective: Any) -> Results:
    """The loss and its derivatives, at one point and at two together."""
    x, whole = objective.flat_parameters(), objective.shards.whole
    points = torch.stack([x, 1.1 * x])
    product = objective.hessian_operator(x)
    return {
        "value": objective.value(x),
        "values": objective.value(points),
        "gradients": whole(objective.gradient(points)),
        "product": whole(objective.hessian_vector_product(x, x)),
        "kept product": whole(product(x)),
    }


def measured(objective: Any) -> Results:
    """What samlib measures at a point beside these."""
    x, whole = objective.flat_parameters(), objective.shards.whole
    eigen = samlib.top_eigenpairs(objective, x, k=2, **QUIET)
    trace = samlib.trace(objective, x, rtol=0.5, max_products=24, **QUIET)
    smallest = samlib.smallest_nonzero_eigenvalue(objective, x, zero_rtol=0.1, rtol=0.1, **QUIET)
    density = samlib.spectral_density(objective, x, probes=2, steps=6, **QUIET)
    worst = samlib.worst_direction_sharpness(objective, x, 0.05, restarts=1, rtol=1e-3, **QUIET)
    average = samlib.average_direction_sharpness(objective, x, 0.05, samples=16, **QUIET)
    return {
        "eigenvalues": eigen.values,
        "eigenvector": whole(eigen.vectors[:, 0].contiguous()).abs(),
        "products": torch.tensor(eigen.products),
        "trace": trace.value,
        "standard error": trace.error,
        "smallest": smallest.values,
        "alignment": samlib.alignment(objective, x, **QUIET),
        "density": density.density,
        "ascent": samlib.ascent_direction_sharpness(objective, x, 0.05).value,
        "worst": worst.value,
        "worst direction": whole(worst.direction).abs(),
        "average": average.value,
        "Gauss-Newton": whole(samlib.gauss_newton(objective, x) @ x),
        "Fisher": whole(samlib.fisher(objective, x) @ x),
        "top of Gauss-Newton": samlib.top_eigenpairs(
            samlib.gauss_newton(objective, x), **QUIET
        ).values,
    }


def spread_model() -> nn.Module:
    """The model, its parameters spread over the processes layer by layer."""
    model = make_model()
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer)
    return fully_shard(model)


def outcome(function: Callable[[], Any]) -> str:
    """The error or the warnings of a function, in words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            function()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return " ".join(str(one.message) for one in caught)


# -------------------------------------------------------------------------------------- numbers


def numbers(rank: int) -> Results:
    """Measured over rows that are shared out in several ways."""
    inputs, labels = make_data()
    mine = shares(rank)
    sampler: Any = DistributedSampler(Rows(inputs, labels), shuffle=False)  # type: ignore[arg-type]
    loader: Any = DataLoader(Rows(inputs, labels), batch_size=5, sampler=sampler)
    alone = [(inputs, labels)] if rank == 1 else []
    dicts = [{"x": some, "y": its} for some, its in mine]
    of_dict = Objective.from_loss(
        make_model(),
        lambda model, batch: F.cross_entropy(model(batch["x"]), batch["y"]),
        dicts,
        process_group=dist.group.WORLD,
    )
    uneven, spread = objective_over(mine), objective_over(mine, spread_model())
    return {
        "uneven": evaluated(uneven) | measured(uneven),
        "pair": evaluated(objective_over(mine[0] if rank == 0 else mine)),
        "sampler": evaluated(objective_over(loader)),
        "no rows": evaluated(objective_over(alone)),
        "mappings": evaluated(of_dict),
        "vectors": evaluated(objective_over(mine, shard_vectors=True)),
        "fully_shard": evaluated(spread) | measured(spread),
        "whole vectors": evaluated(objective_over(mine, spread_model(), shard_vectors=False)),
    }


# ------------------------------------------------------------------------------- what goes wrong


def errors(rank: int) -> Results:
    """What is said where something is wrong in one process or in all."""
    mine, first = shares(rank), rank == 0
    inputs, labels = make_data()
    at = torch.cat([part.flatten() for part in make_model().state_dict().values()])
    other = make_model()
    if rank:
        nn.init.zeros_(other[0].bias)  # type: ignore[arg-type]
    once = objective_over(mine if first else [*mine, (inputs[:, :5], labels)], check=False)
    bad = objective_over(mine if first else [(inputs[:, :5], labels)], check=False)
    said = {
        "one fails": outcome(lambda: once.gradient(at)),
        "one fails in a product": outcome(lambda: once.hessian_operator(at)(at)),
        "models differ": outcome(lambda: evaluated(objective_over(mine, other))),
        "calls differ": outcome(
            lambda: getattr(objective_over(mine), "value" if first else "gradient")(at)
        ),
        "outside derivative": outcome(
            lambda: objective_over(mine).value(at.clone().requires_grad_())
        ),
        "nothing counts": outcome(
            lambda: objective_over([(inputs, torch.full_like(labels, -100))]).value(at)
        ),
        "sum": outcome(lambda: squares_added(mine[:1]).value(at)),
        "no group": outcome(lambda: objective_over(mine, spread_model(), process_group=None)),
        "vectors without a group": outcome(
            lambda: objective_over(mine, process_group=None, shard_vectors=True)
        ),
        "drawn labels": outcome(lambda: samlib.fisher(objective_over(mine), at, labels="sampled")),
        "one fails in a look": outcome(lambda: samlib.gauss_newton(bad, at)),
        "draws": outcome(lambda: drawing(mine, draws=not first).value(at)),
        "used elsewhere": outcome(lambda: routed(first).value(torch.ones(3).double())),
        "used nowhere": outcome(lambda: routed(True).value(torch.ones(3).double())),
    }
    return {**said, "afterwards": outcome(lambda: objective_over(mine).value(at))}


def loaders(rank: int) -> Results:
    """What is said of loaders that give each process its rows."""
    inputs, labels = make_data()
    every: Any = Rows(inputs, labels)

    def loaded(rows: int, **options: Any) -> Any:
        some: Any = Subset(every, range(rows))
        return DataLoader(some, batch_size=4, sampler=DistributedSampler(some, **options))

    seven = BatchSampler(SequentialSampler(range(7)), 2, drop_last=False)

    def by_accelerate(**options: Any) -> Any:
        shard: Any = BatchSamplerShard(seven, PROCESSES, rank, **options)
        return DataLoader(every, batch_sampler=shard)

    given: dict[str, Callable[[], Any]] = {
        "repeats": lambda: objective_over(loaded(7)),
        "repeats, as asked": lambda: objective_over(loaded(7), check=False),
        "drops": lambda: objective_over(loaded(7, drop_last=True)),
        "another's share": lambda: objective_over(loaded(8, num_replicas=3, rank=rank)),
        "evened by Accelerate": lambda: objective_over(by_accelerate()),
        "uneven by Accelerate": lambda: objective_over(by_accelerate(even_batches=False)),
        "own rows": lambda: evaluated(
            objective_over(DataLoader(Subset(every, range(rank, 24, PROCESSES)), 5))
        ),
    }
    return {name: outcome(make) for name, make in given.items()}


def squares_added(data: Any) -> Any:
    """An objective whose loss adds up rows."""
    return Objective.from_loss(
        make_model(),
        lambda model, batch: model(batch[0]).square().sum(),
        data,
        process_group=dist.group.WORLD,
    )


def drawing(data: Any, *, draws: bool) -> Any:
    """An objective that is another in each pass, if it draws."""
    return Objective.from_loss(
        make_model(),
        lambda m, b: F.cross_entropy(F.dropout(m(b[0]), 0.5, draws), b[1]),
        data,
        process_group=dist.group.WORLD,
    )


def routed(to_first: bool) -> Any:
    """An objective whose rows go to one of two experts."""

    def loss(model: Any, batch: Any) -> Tensor:
        expert = model["first"] if to_first else model["second"]
        return (model["all"](expert(batch[0])) ** 2).mean()

    experts = {name: nn.Linear(1, 1, bias=False) for name in ("all", "first", "second")}
    data = [(torch.ones(3, 1).double(),)]
    return Objective.from_loss(
        nn.ModuleDict(experts).double(), loss, data, process_group=dist.group.WORLD
    )


# -------------------------------------------------------------------------- models that are spread


def spread(rank: int) -> Results:
    """What an objective does to a model that FSDP has spread, and training with it."""
    inputs, labels = shares(rank)[0]
    found: Results = {}
    for looks in (False, True):
        model = spread_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            if looks:
                objective = objective_over([(inputs, labels)], model)
                objective.hessian_operator(x := objective.flat_parameters())(x)
            F.cross_entropy(model(inputs), labels).backward()
            if looks:  # between the backward and the step, too
                objective.gradient(x)
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            model(inputs)  # leaves the parameters of the root gathered
        objective = objective_over([(inputs, labels)], model)
        found["looked" if looks else "trained"] = objective.shards.whole(
            objective.flat_parameters()
        )
    x = torch.arange(float(objective.dim)).double()
    objective.load_flat_parameters(objective.shards.part(x))
    found["loaded"] = objective.shards.whole(objective.flat_parameters())
    found["placements"] = [str(p.placements) for p in model.parameters()]
    found["length"] = objective.shards.length
    found["where"] = objective.where("0.*")
    found["dense"] = outcome(
        lambda: samlib.hessian(objective, objective.flat_parameters()).to_dense()
    )
    return found


def work(rank: int, folder: str) -> None:
    """Do all of it in one of the processes, and save the results."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES
    )
    torch.save(
        {
            "numbers": numbers(rank),
            "said": errors(rank) | loaders(rank),
            "spread": spread(rank),
        },
        Path(folder) / f"{rank}.pt",
    )
    dist.destroy_process_group()
