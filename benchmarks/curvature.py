"""Eigenvalues, trace and average sharpness against the libraries in use: `python curvature.py`.

`gpu.py` runs the same on a GPU. `python curvature.py --resume` goes on with a run that was
interrupted: cases of which every row is stored are kept, if machine and versions are the same.

The same work in one run, at equal accuracy, on a perceptron and on a small residual network:

* the largest, and the five largest, eigenvalues of the Hessian to 1e-3, each with the loosest
  tolerance that is enough. hessian-eigenthings takes a number of iterations: it is shown as it is,
  with the number doubled until it says that it has converged, and with the last of these runs
  alone, as if one had been told the number. What misses the accuracy is shown as missing it;
* the trace to 2 % (root mean square over seeds), each with the smallest number of products that is
  enough;
* the average-direction sharpness to 2 %, in evaluations of the loss.

The residual network takes most of the time, about half an hour on two cores. `make bench` sets
two variables that let the allocator of glibc keep what it frees.
"""

from __future__ import annotations

import gc
import json
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from statistics import median
from typing import Any

import curvlinops
import hessian_eigenthings as eigenthings
import numpy as np
import torch
from optim import resnet8
from pyhessian import hessian as pyhessian
from scipy.sparse.linalg import eigsh
from simulate import finish, provenance, results_path
from sklearn.datasets import load_digits
from torch import Tensor, nn

import samlib

ACCURACY, TRACE_ACCURACY = 1e-3, 0.02
# λ₅ and λ₆ of the residual network are so close that the fifth needs a small residual.
TOLERANCES = {("MLP", 1): 0.02, ("MLP", 5): 0.02, ("CNN", 1): 0.01, ("CNN", 5): 0.005}
METHODS = 7  # rows of a case
SEEDS = 48
PEERS = ("PyHessian", "hessian-eigenthings", "curvlinops-for-pytorch", "scipy")

Case = tuple[nn.Module, nn.Module, Tensor, Tensor]
Answer = tuple[Tensor, int | None]


def perceptron(device: str) -> Case:
    """64-128-128-10 on all 1,797 digits, after 200 steps of full-batch training."""
    images, labels = load_digits(return_X_y=True)
    inputs = torch.as_tensor(images, dtype=torch.float32, device=device) / 16
    targets = torch.as_tensor(labels, device=device)
    model = samlib.problems.perceptron((64, 128, 128, 10), seed=0, dtype=torch.float32).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    return model, nn.CrossEntropyLoss(), inputs, targets


def residual_network(device: str) -> Case:
    """A ResNet of 309,000 parameters on 512 random images, BatchNorm in eval mode."""
    torch.manual_seed(0)
    model = resnet8(32).to(device)
    inputs, targets = torch.randn(512, 3, 32, 32), torch.randint(0, 10, (512,))
    inputs, targets = inputs.to(device), targets.to(device)
    with torch.no_grad():
        model(inputs)  # running statistics that belong to the data
    return model.eval(), nn.CrossEntropyLoss(), inputs, targets


# --------------------------------------------------------------------------------- eigenvalues


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
    from scipy.sparse.linalg import LinearOperator

    products = 0

    def counted(v: Any) -> Any:
        nonlocal products
        products += 1
        return matvec(v.astype(np.float32).reshape(-1))

    operator = LinearOperator((dim, dim), matvec=counted, dtype=np.float32)
    start = np.random.default_rng(0).standard_normal(dim).astype(np.float32)
    values = eigsh(operator, k, which="LA", tol=tol, v0=start, return_eigenvectors=False)
    return torch.as_tensor(np.sort(values)[::-1].copy()), products


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


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def timed(method: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    times = []
    for _ in range(repeats):
        gc.collect()  # graphs that the method before left in reference cycles
        begin = time.perf_counter()
        with quiet():
            found = method()
            finish()
        times.append(time.perf_counter() - begin)
    return median(times), found


def relative_error(values: Tensor, exact: Tensor) -> float:
    if len(values) < len(exact):
        return math.inf
    return float(((values[: len(exact)].double().cpu() - exact) / exact).abs().max())


def eigenvalues(name: str, case: Case, k: int, repeats: int) -> Iterator[dict[str, Any]]:
    exact = ours(case, k, 1e-5)[0].double().cpu()

    def row(method: str, seconds: float, found: Answer) -> dict[str, Any]:
        values, products = found
        error = relative_error(values, exact)
        return {
            "case": name,
            "k": k,
            "method": method,
            "seconds": seconds,
            "products": products,
            "error": error,
            "accurate": error <= ACCURACY,
        }

    methods: dict[str, Callable[[], Answer]] = {
        "samlib": lambda: ours(case, k, TOLERANCES[name, k]),
        "SciPy eigsh over samlib's product": lambda: scipy_over_our_products(case, k, ACCURACY),
        "curvlinops + SciPy eigsh": lambda: linear_operators(case, k, ACCURACY),
        "hessian-eigenthings, as it is": lambda: answer(iterated(case, k, None)),
        "PyHessian": lambda: power_iterated(case, k),
    }
    for method, run in methods.items():
        yield row(method, *timed(run, repeats))
    seconds, ((values, products), last, last_seconds) = timed(lambda: doubled(case, k), repeats)
    yield row("hessian-eigenthings, doubled", seconds, (values, products))
    yield row("hessian-eigenthings, told the number", last_seconds, (values, last))


def show_eigenvalue(row: dict[str, Any], of_ours: float) -> None:
    missed = "" if row["accurate"] else "  misses the accuracy"
    print(
        f"{row['case']:6}{row['k']:3}  {row['method']:38}{1e3 * row['seconds']:10.1f}"
        f"{row['products'] or '':>10}{row['error']:10.1e}{row['seconds'] / of_ours:10.2f}{missed}",
        flush=True,
    )


def finished_cases(results: dict[str, Any]) -> set[tuple[str, int]]:
    """The cases of which every row is there; the rows of others are dropped."""
    rows = results.setdefault("eigenvalues", [])
    counts = Counter((row["case"], row["k"]) for row in rows)
    done = {case for case, count in counts.items() if count == METHODS}
    rows[:] = [row for row in rows if (row["case"], row["k"]) in done]
    return done


def all_eigenvalues(cases: dict[str, tuple[Case, int]], results: dict[str, Any]) -> None:
    print(f"\nTop eigenvalues to {ACCURACY:g}\n")
    print(
        f"{'case':6}{'k':>3}  {'method':38}{'ms':>10}{'products':>10}{'error':>10}{'÷ samlib':>10}"
    )
    done = finished_cases(results)
    for name, (case, repeats) in cases.items():
        for k in (1, 5):
            if (name, k) in done:
                print(f"{name:6}{k:3}  kept from before")
                continue
            of_ours = None
            for row in eigenvalues(name, case, k, repeats):
                of_ours = of_ours or row["seconds"]
                show_eigenvalue(row, of_ours)
                results["eigenvalues"].append(row)
                store(results)


# --------------------------------------------------------------------------------------- trace


def our_trace(case: Case, products: int, seed: int) -> float:
    model, loss_fn, inputs, targets = case
    objective = samlib.Objective.from_module(model, loss_fn, (inputs, targets))
    x = objective.flat_parameters()
    with quiet():
        found = samlib.trace(
            objective, x, rtol=1e-6, seed=seed, max_products=products, progress=False
        )
    return float(found.value)


def operator_trace(estimator: Callable[..., Tensor]) -> Callable[[Case, int, int], float]:
    def run(case: Case, products: int, seed: int) -> float:
        torch.manual_seed(seed)
        return float(estimator(linear_operator(case), products))

    return run


def eigenthings_trace(case: Case, products: int, seed: int) -> float:
    operator = eigenthings_operator(case)
    return float(eigenthings.trace(operator, num_matvecs=products, seed=seed).estimate)


def pyhessian_trace(case: Case, products: int, seed: int) -> float:
    model, loss_fn, inputs, targets = case
    torch.manual_seed(seed)
    computer = pyhessian(model, loss_fn, data=(inputs, targets), cuda=inputs.is_cuda)
    values = computer.trace(maxIter=products, tol=0.0)
    model.zero_grad(set_to_none=True)
    return float(np.mean(values))


TRACES: dict[str, tuple[Callable[[Case, int, int], float], tuple[int, ...]]] = {
    "samlib": (our_trace, (12, 24, 48)),
    "curvlinops xtrace": (operator_trace(curvlinops.xtrace), (12, 24, 48)),
    "curvlinops hutchpp_trace": (operator_trace(curvlinops.hutchpp_trace), (12, 24, 48, 96)),
    "hessian-eigenthings hutch++": (eigenthings_trace, (12, 24, 48, 96)),
    "PyHessian (Hutchinson)": (pyhessian_trace, (96, 192, 384)),
}


def traces(case: Case) -> list[dict[str, Any]]:
    model, loss_fn, inputs, targets = case
    objective = samlib.Objective.from_module(model, loss_fn, (inputs, targets))
    exact = float(
        samlib.trace(
            objective, objective.flat_parameters(), rtol=1e-3, max_products=2000, progress=False
        ).value
    )
    rows = []
    for method, (run, budgets) in TRACES.items():
        for products in budgets:
            begin = time.perf_counter()
            errors = [run(case, products, seed) / exact - 1 for seed in range(SEEDS)]
            rows.append(
                {
                    "method": method,
                    "products": products,
                    "rms": math.sqrt(sum(error**2 for error in errors) / SEEDS),
                    "seconds": (time.perf_counter() - begin) / SEEDS,
                }
            )
            if rows[-1]["rms"] <= TRACE_ACCURACY:
                break
    return rows


def show_traces(rows: list[dict[str, Any]]) -> None:
    print(f"\nTrace, perceptron, RMS error over {SEEDS} seeds, until {TRACE_ACCURACY:.0%}\n")
    print(f"{'method':30}{'products':>10}{'RMS error':>12}{'ms':>9}")
    for row in rows:
        print(
            f"{row['method']:30}{row['products']:10}{row['rms']:12.2%}{1e3 * row['seconds']:9.1f}"
        )


# --------------------------------------------------------------------------- average direction


def averages(case: Case) -> list[dict[str, Any]]:
    """How many evaluations the average-direction sharpness takes for an error of 2 %."""
    model, loss_fn, inputs, targets = case
    double = nn.Sequential(*model).double()
    objective = samlib.Objective.from_module(double, loss_fn, (inputs.double(), targets))
    x = objective.flat_parameters()
    rows = []
    for rho in (0.01, 0.1, 0.5, 2.0):
        samples = 20_000
        found = samlib.average_direction_sharpness(
            objective, x, rho, samples=samples, progress=False
        )
        relative = float(found.error / found.value)
        rows.append({"rho": rho, "evaluations": samples * (relative / 0.02) ** 2})
    model.float()
    return rows


def show_averages(rows: list[dict[str, Any]]) -> None:
    print("\nAverage-direction sharpness, perceptron: evaluations for a standard error of 2 %\n")
    print(f"{'rho':>6}{'evaluations':>14}")
    for row in rows:
        print(f"{row['rho']:6}{row['evaluations']:14.0f}")


def store(results: dict[str, Any]) -> None:
    """Keep what is finished, so that an interrupt loses nothing of it."""
    path = results_path("curvature", results["provenance"]["device"])
    path.write_text(json.dumps(results, indent=2) + "\n")


def interrupted(now: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run has stored, or nothing if it was made on something else."""
    path = results_path("curvature", now["device"])
    stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    before = stored.get("provenance", {})
    ignored = ("date", "resumed")
    if any(before.get(key) != value for key, value in now.items() if key not in ignored):
        return {"provenance": now}
    return {**stored, "provenance": {**before, "resumed": now["date"]}}


def main(device: str = "cpu", resume: bool = False) -> None:
    now = provenance(device) | {p: version(p) for p in PEERS}
    results = interrupted(now) if resume else {"provenance": now}
    mlp = perceptron(device)
    for name, measure, show in (
        ("traces", traces, show_traces),
        ("averages", averages, show_averages),
    ):
        if name not in results:
            results[name] = measure(mlp)
            store(results)
        show(results[name])
    all_eigenvalues(
        {"MLP": (mlp, 7), "CNN": (residual_network(device), 1 if device == "cpu" else 3)}, results
    )


if __name__ == "__main__":
    main(resume="--resume" in sys.argv[1:])
