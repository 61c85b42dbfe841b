"""What the figure Explore measures of a network, step by step, so that it can show and stop it."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from samlib._batching import how_many_at_once
from samlib._validation import require_instance
from samlib.curvature import EigenResult, top_eigenpairs, trace
from samlib.curvature.alignment import largest_sine
from samlib.linalg import random_direction, unit_direction
from samlib.objective import Chosen, Data, Loss, ModuleObjective, Objective, SizeArgument
from samlib.sharpness import ascent_direction_sharpness
from samlib.sharpness.notions import average_direction
from samlib.sharpness.worst_direction import find_worst_direction
from samlib.widgets.figures.explore.measurement import PointMeasurement, RadiusMeasurement
from samlib.widgets.figures.explore.quadratic_model import (
    KRYLOV_PRODUCTS,
    QuadraticModel,
    small_model,
)
from samlib.widgets.figures.explore.watch import Watch, WatchedObjective

EIGEN_RTOL, EIGEN_PRODUCTS = 1e-3, 300
TRACE_RTOL, TRACE_PRODUCTS = 0.02, 100

# About the most that the search for the worst direction evaluates.
WORST_EVALUATIONS = 1200

# The loss is drawn from −REACH·ρ to REACH·ρ at so many points; ±ρ and 0 are among them.
REACH = 2
PROFILE_POINTS = 49


class Network:
    """A network as it is now, its loss, and the directions of its measurements."""

    POINT_STAGES = ("Gradient", "Top eigenvalues", "Quadratic model", "Trace")
    RADIUS_STAGES = ("Along the gradient", "A random direction", "Average direction",
                     "Worst direction", "Along the worst direction")  # fmt: skip

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Data,
        *,
        size: SizeArgument,
        parameters: Chosen | None,
        k: int,
        samples: int,
        seed: int,
    ) -> None:
        require_instance("model", model, nn.Module, "a torch.nn.Module")
        self.name = type(model).__name__
        # A copy, so that training may go on meanwhile.
        copied = copy.deepcopy(model)
        self._watch: Watch | None = None
        # A measurement that goes over many batches can be stopped between two of them.
        copied.register_forward_pre_hook(lambda module, inputs: self._look())
        data = loss.require_data(data, sized=size is not None)
        chosen: dict[str, Any] = {"size": size, "parameters": parameters}
        self._objective = ModuleObjective(copied, loss, data, **chosen)
        self.dim = self._objective.dim
        self._k = min(k, self.dim)
        self._samples, self._seed = samples, seed
        self._x = self._objective.flat_parameters()
        batches = [data] if self._objective.in_one_batch else data
        first = [[batch] for batch in itertools.islice(batches, 1)]
        _require_finite_loss(
            [ModuleObjective(copied, loss, one, **chosen, check=False) for one in first], self._x
        )
        self._point: PointMeasurement | None = None
        self._directions: dict[str, Tensor] = {}

    def forget(self) -> None:
        """Let the copy of the network and its data go; nothing is measured any more."""
        del self._objective, self._x
        self._directions = {}

    def _look(self) -> None:
        if self._watch is not None:
            self._watch(0)

    def point(self, watch: Watch) -> PointMeasurement:
        """Measure what does not depend on ρ, once."""
        if self._point is None:
            self._watch = watch
            self._point = self._measure_point(watch)
        return self._point

    def _measure_point(self, watch: Watch) -> PointMeasurement:
        _be_silent()
        objective, x = WatchedObjective(self._objective, watch), self._x
        gradient_stage, eigen_stage, model_stage, trace_stage = self.POINT_STAGES
        watch.begin(gradient_stage, 2)
        loss, gradient = float(objective.value(x)), objective.gradient(x)
        norm = float(gradient.double().norm())
        if not (gradient.isfinite().all() and torch.tensor(loss).isfinite()):
            raise ValueError(
                f"loss and gradient of the model must be finite, got L = {loss} and ‖∇L‖ = {norm}"
            )
        watch.begin(eigen_stage, EIGEN_PRODUCTS)
        pairs = self._top_eigenpairs(watch)
        if not bool(pairs.values.isfinite().all()):
            raise ValueError("the Hessian of the loss is not finite at the model's parameters")
        generator = torch.Generator().manual_seed(self._seed)
        self._directions = {
            "ascent": unit_direction(gradient),
            "random": random_direction(x, generator),
        }
        watch.begin(model_stage, KRYLOV_PRODUCTS + 1)
        product, top = objective.hessian_operator(x), pairs.vectors[:, 0]
        slope, curvature = small_model(product, gradient, top)
        watch.begin(trace_stage, TRACE_PRODUCTS)
        budget: dict[str, Any] = {"rtol": TRACE_RTOL, "max_products": TRACE_PRODUCTS}
        total = trace(objective, x, seed=self._seed, progress=False, **budget)
        quadratic = QuadraticModel(slope, curvature, float(total.value) / self.dim)
        return PointMeasurement(
            loss,
            norm,
            _on_cpu(pairs),
            _cosines(gradient, pairs),
            largest_sine(pairs.values, pairs.residuals),
            quadratic.along_gradient,
            replace(total, value=total.value.cpu(), error=total.error.cpu()),
            quadratic,
        )

    def _top_eigenpairs(self, watch: Watch) -> EigenResult:
        return top_eigenpairs(
            self._objective,
            self._x,
            k=self._k,
            rtol=EIGEN_RTOL,
            max_products=max(EIGEN_PRODUCTS, self._k),
            progress=False,
            on_product=lambda: watch(1),
        )

    def at(self, rho: float, watch: Watch) -> Iterator[RadiusMeasurement]:
        """Measure what depends on ρ: a result for each stage, with all that is known so far."""
        point = self.point(watch)
        self._watch = watch
        objective, x = WatchedObjective(self._objective, watch), self._x
        along_gradient, along_random, average, worst, along_worst = self.RADIUS_STAGES
        predicted = point.quadratic.predict(torch.tensor([rho], dtype=torch.float64))
        steps = rho * torch.linspace(-REACH, REACH, PROFILE_POINTS, dtype=torch.float64)
        result = RadiusMeasurement(
            rho, predicted={name: float(value) for name, value in predicted.items()}, steps=steps
        )

        def profile(direction: Tensor) -> Tensor:
            return _rises(objective, x, steps, direction) - point.loss

        watch.begin(along_gradient, PROFILE_POINTS + 3)
        result = result.with_sharpness(ascent_direction_sharpness(objective, x, rho))
        result = result.with_profile("ascent", profile(self._directions["ascent"]))
        yield result
        watch.begin(along_random, PROFILE_POINTS)
        result = result.with_profile("random", profile(self._directions["random"]))
        yield result
        watch.begin(average, self._samples + 1)
        mean, _ = average_direction(objective, x, rho, samples=self._samples, seed=self._seed)
        result = result.with_sharpness(mean)
        yield result
        watch.begin(worst, WORST_EVALUATIONS)
        found, _ = find_worst_direction(objective, x, rho, seed=self._seed)
        assert found.direction is not None
        result = replace(result.with_sharpness(found), length=float(found.direction.norm()))
        yield result
        watch.begin(along_worst, PROFILE_POINTS)
        yield result.with_profile("worst", profile(unit_direction(found.direction)))


def _be_silent() -> None:
    """Show no warning of what is measured here: a result says itself how good it is.

    Measurements run in a thread, and filters are those of the whole process: so this one, which
    concerns calls from this module only, is put before the others, and stays.
    """
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=__name__.replace(".", r"\."))


def _require_finite_loss(first: Iterable[Objective], x: Tensor) -> None:
    """Evaluate the loss on the first batch, for what is wrong with it to show at once."""
    for objective in first:
        loss = objective.value(x)
        if not bool(loss.isfinite()):
            raise ValueError(f"the loss of the model must be finite, got {float(loss)}")
        return
    raise ValueError("data gave no batch; it must have at least one")


def _rises(objective: Objective, x: Tensor, steps: Tensor, direction: Tensor) -> Tensor:
    """L(x + s d) at each s; on the CPU."""
    some = how_many_at_once(len(x))
    parts = [
        objective.value(x + s[:, None] * direction) for s in torch.split(steps.to(direction), some)
    ]
    return torch.cat(parts).double().cpu()


def _cosines(gradient: Tensor, pairs: EigenResult) -> Tensor:
    """|cos∠(∇L, v_i)|; NaN where the gradient is zero."""
    norm = float(gradient.double().norm())
    if norm == 0:
        return torch.full((len(pairs.values),), torch.nan)
    cosines: Tensor = (gradient @ pairs.vectors).abs().double().cpu() / norm
    return cosines.clamp(max=1)


def _on_cpu(pairs: EigenResult) -> EigenResult:
    """Without the vectors, which are as long as the model."""
    return replace(
        pairs,
        values=pairs.values.double().cpu(),
        residuals=pairs.residuals.double().cpu(),
        vectors=pairs.vectors.new_empty(0).cpu(),
    )
