"""Gauss-Newton and Fisher products against curvlinops: `python benchmarks/operators.py`.

On the perceptron of `peers.cases` and its residual network (on 64 of the images), with all data in
one pair and in four batches:

* the products with random vectors: equal to 1e-10 in float64 and 1e-5 in float32, or this fails;
* the time of one product, after whatever is made once for all of them, and of what is made;
* for drawn labels, which are different ones in the two libraries, how far the mean of 100 draws is
  from the Gauss-Newton matrix, on the perceptron.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import curvlinops
import torch
from curvature import timed
from peers.cases import Case, perceptron, residual_network
from simulate import provenance, results_path
from torch import Tensor

import samlib

LARGEST_DIFFERENCE = {torch.float64: 1e-10, torch.float32: 1e-5}
VECTORS, BATCHES, DRAWS = 3, 4, 100

Ours = Callable[[samlib.ModuleObjective, Tensor], samlib.Operator]
Theirs = Callable[..., Any]

MATRICES: dict[str, tuple[Ours, Theirs]] = {
    "Gauss-Newton": (samlib.gauss_newton, curvlinops.GGNLinearOperator),
    "empirical Fisher": (samlib.fisher, curvlinops.EFLinearOperator),
    "sampled Fisher": (
        lambda objective, x: samlib.fisher(objective, x, labels="sampled"),
        curvlinops.FisherMCLinearOperator,
    ),
}


def on_few_images(case: Case) -> Case:
    model, loss_fn, inputs, targets = case
    return model, loss_fn, inputs[:64], targets[:64]


def in_dtype(case: Case, dtype: torch.dtype) -> Case:
    model, loss_fn, inputs, targets = case
    return model.to(dtype), loss_fn, inputs.to(dtype), targets


def data_of(case: Case, kind: str) -> Any:
    _, _, inputs, targets = case
    if kind == "pair":
        return inputs, targets
    return list(zip(inputs.chunk(BATCHES), targets.chunk(BATCHES), strict=True))


def objective_of(case: Case, kind: str) -> samlib.ModuleObjective:
    return samlib.Objective.from_module(case[0], case[1], data_of(case, kind))


def made_by_them(theirs: Theirs, case: Case, kind: str, **options: Any) -> Any:
    model, loss_fn, *_ = case
    data = data_of(case, kind)
    parameters = [p for p in model.parameters() if p.requires_grad]
    return theirs(
        model,
        loss_fn,
        parameters,
        [data] if kind == "pair" else data,
        check_deterministic=False,
        **options,
    )


def compare(
    name: str, case: Case, kind: str, dtype: torch.dtype, repeats: int
) -> Iterator[dict[str, Any]]:
    objective = objective_of(case, kind)
    x = objective.flat_parameters()
    objective.value(x)  # the check of the data, once
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(VECTORS, objective.dim, generator=generator).to(x)
    for matrix, (ours, theirs) in MATRICES.items():
        made, operator = timed(lambda ours=ours: ours(objective, x), repeats)
        other = made_by_them(theirs, case, kind)
        seconds, _ = timed(lambda operator=operator: operator @ vectors[0], repeats)
        its_seconds, _ = timed(lambda other=other: other @ vectors[0], repeats)
        row = {
            "case": name,
            "data": kind,
            "dtype": str(dtype).removeprefix("torch."),
            "matrix": matrix,
            "seconds": seconds,
            "made_seconds": made,
            "curvlinops_seconds": its_seconds,
        }
        if matrix != "sampled Fisher":
            row["difference"] = max(difference(operator @ v, other @ v) for v in vectors)
            assert row["difference"] <= LARGEST_DIFFERENCE[dtype], row
        yield row


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def mean_of_draws(case: Case) -> dict[str, float]:
    """How far the mean of drawn matrices is from that of Gauss and Newton, on one vector."""
    objective = objective_of(case, "pair")
    x = objective.flat_parameters()
    v = torch.randn(objective.dim, generator=torch.Generator().manual_seed(0)).to(x)
    expected = samlib.gauss_newton(objective, x) @ v
    ours: Any = sum(
        samlib.fisher(objective, x, labels="sampled", seed=seed) @ v for seed in range(DRAWS)
    )
    theirs: Any = sum(
        made_by_them(curvlinops.FisherMCLinearOperator, case, "pair", seed=seed) @ v
        for seed in range(DRAWS)
    )
    return {
        "samlib": difference(ours / DRAWS, expected),
        "curvlinops": difference(theirs / DRAWS, expected),
    }


def show(row: dict[str, Any]) -> None:
    apart = f"{row['difference']:12.1e}" if "difference" in row else f"{'':12}"
    ratio = row["curvlinops_seconds"] / row["seconds"]
    print(
        f"{row['case']:5}{row['data']:9}{row['dtype']:9}{row['matrix']:18}"
        f"{1e3 * row['seconds']:10.1f}{1e3 * row['curvlinops_seconds']:12.1f}{ratio:8.2f}"
        f"{1e3 * row['made_seconds']:10.1f}{apart}",
        flush=True,
    )


def main(device: str = "cpu") -> None:
    results: dict[str, Any] = {
        "provenance": provenance(device)
        | {"curvlinops-for-pytorch": version("curvlinops-for-pytorch")},
        "products": [],
    }
    print(
        f"{'case':5}{'data':9}{'dtype':9}{'matrix':18}{'ms':>10}{'curvlinops':>12}{'ratio':>8}"
        f"{'made':>10}{'difference':>12}"
    )
    for name, case, repeats in (
        ("MLP", perceptron(device), 15),
        ("CNN", on_few_images(residual_network(device)), 3),
    ):
        for dtype in LARGEST_DIFFERENCE:
            for kind in ("pair", "batches"):
                for row in compare(name, in_dtype(case, dtype), kind, dtype, repeats):
                    show(row)
                    results["products"].append(row)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results["mean_of_draws"] = mean_of_draws(in_dtype(perceptron(device), torch.float64))
    print(f"mean of {DRAWS} draws, distance from Gauss-Newton: {results['mean_of_draws']}")
    results_path("operators", device).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
