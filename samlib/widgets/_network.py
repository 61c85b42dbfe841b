"""What the figure Explore measures of a network, step by step, so that it can show and stop it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from samlib._progress import ProgressBar
from samlib.curvature import EigenResult, top_eigenpairs, trace
from samlib.curvature.alignment import largest_sine
from samlib.curvature.eigenpairs import _lanczos
from samlib.curvature.trace import _deflated_trace
from samlib.estimate import Estimate
from samlib.linalg import unit_direction
from samlib.linalg.lanczos import Lanczos, random_direction
from samlib.linalg.trust_region import maximize_quadratic
from samlib.objective import LossFunction, ModuleObjective
from samlib.objective.data import Pairs
from samlib.sharpness import Sharpness, ascent_direction_sharpness
from samlib.sharpness.notions import average_direction
from samlib.sharpness.worst_direction import find_worst_direction
from samlib.widgets._background import Stopped

# Up to here curvature.py answers exactly, with the dense Hessian.
_DENSE_DIM = 64

_EIGEN_RTOL = 1e-3
_EIGEN_PRODUCTS = 300
_TRACE_RTOL = 0.02
_TRACE_PRODUCTS = 100
_MODEL_PRODUCTS = 20  # of the Krylov space of the gradient

# About the most that the search for the worst direction evaluates.
_WORST_EVALUATIONS = 2000

# Points are evaluated so many at a time, so that one can stop in between, and formed so many
# numbers at a time.
_POINTS_AT_ONCE = 64
_NUMBERS_AT_ONCE = 2**24

# The loss is drawn from −REACH·ρ to REACH·ρ at so many points; ±ρ and 0 are among them.
REACH = 2
PROFILE_POINTS = 49

# The quadratic model is drawn at these radii.
MODEL_RADII = tuple(10 ** (k / 20) for k in range(-80, 21))

NOTIONS = ("worst", "ascent", "average")


@dataclass
class Watch:
    """Counts evaluations, says how far a stage of the measurement is, and ends it by Stopped."""

    stopped: threading.Event
    report: Callable[[Watch], None]
    name: str = ""
    done: int = 0
    most: int = 1

    def begin(self, name: str, most: int) -> None:
        """Begin a stage that takes ``most`` evaluations, or fewer."""
        self.name, self.done, self.most = name, 0, most
        self(0)

    def __call__(self, evaluations: int) -> None:
        """So many more are done."""
        if self.stopped.is_set():
            raise Stopped
        self.done += evaluations
        self.report(self)


class WatchedObjective(ModuleObjective):
    """The loss of a network that tells a watch about every evaluation."""

    watch: Watch | None = None

    def value(self, x: Tensor) -> Tensor:
        """L(x): [..., dim] → [...]."""
        return self._counted(super().value, x)

    def gradient(self, x: Tensor) -> Tensor:
        """∇L(x): [..., dim] → [..., dim]."""
        return self._counted(super().gradient, x)

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v ↦ ∇²L(x) v at one point x [dim]."""
        product = super().hessian_operator(x)

        def counted(v: Tensor) -> Tensor:
            image = product(v)
            self._done(1)
            return image

        return counted

    def _counted(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        points = x.reshape(-1, self.dim)
        if x.dim() == 1 or len(points) <= _POINTS_AT_ONCE:
            result = function(x)
            self._done(len(points))
            return result
        parts = []
        for some in torch.split(points, _POINTS_AT_ONCE):
            parts.append(function(some))
            self._done(len(some))
        together = torch.cat(parts)
        return together.reshape(*x.shape[:-1], *together.shape[1:])

    def _loss(self, x: Tensor, inputs: Any, targets: Any) -> Tensor:
        self._done(0)
        return super()._loss(x, inputs, targets)

    def _done(self, evaluations: int) -> None:
        if self.watch is not None:
            self.watch(evaluations)


@dataclass(frozen=True, eq=False, repr=False)
class QuadraticModel:
    """L to second order at x: what it says about the three sharpnesses, for any ρ.

    The worst direction of L(x) + g·ρv + ½ρ² vᵀHv over the unit ball lies in the Krylov space of g
    or, in the hard case, has a part along v₁: it is looked for in the span of the first vectors
    of that space and v₁.
    """

    slope: Tensor
    curvature: Tensor
    along_gradient: float
    mean_curvature: float

    def predict(self, rho: Tensor) -> dict[str, Tensor]:
        """The three sharpnesses at radii ρ [n]."""
        rho = rho.double()
        worst = maximize_quadratic(
            rho[:, None, None] ** 2 * self.curvature, rho[:, None] * self.slope
        )[1]
        norm = float(self.slope.norm())
        return {
            "worst": worst,
            "ascent": rho * norm + rho**2 * self.along_gradient / 2,
            "average": rho**2 * self.mean_curvature / 2,
        }


@dataclass(frozen=True, eq=False)
class PointMeasurement:
    """What does not depend on ρ.

    Attributes
    ----------
    loss
        L(x).
    gradient_norm
        ‖∇L(x)‖.
    eigenvalues
        The top eigenvalues of ∇²L(x) with their residuals, on the CPU and without vectors.
    cosines
        |cos∠(∇L, v_i)| for each; NaN where the gradient is zero.
    cosine_error
        A bound of the error of the first, from the residual of λ₁ and its distance from λ₂.
    curvature_along_gradient
        gᵀ∇²L g/‖g‖² for g = ∇L(x).
    trace
        Tr ∇²L(x), with its standard error.
    quadratic
        The quadratic model at x.
    """

    loss: float
    gradient_norm: float
    eigenvalues: EigenResult
    cosines: Tensor
    cosine_error: float
    curvature_along_gradient: float
    trace: Estimate
    quadratic: QuadraticModel


@dataclass(frozen=True, eq=False)
class RadiusMeasurement:
    """What depends on ρ, as far as it is measured.

    Attributes
    ----------
    rho
        ρ.
    sharpness
        By notion, on the CPU and without the direction.
    predicted
        The same by the quadratic model at x, without an error.
    steps
        The s of the profiles, [points].
    profiles
        L(x + s d) − L(x) at these s, [points], along the unit vectors d "worst", "ascent" and
        "random".
    length
        The length of the worst v found in the unit ball, 1 on its surface.
    """

    rho: float
    sharpness: Mapping[str, Sharpness] = field(default_factory=dict)
    predicted: Mapping[str, float] = field(default_factory=dict)
    steps: Tensor = field(default_factory=lambda: torch.empty(0))
    profiles: Mapping[str, Tensor] = field(default_factory=dict)
    length: float = 1.0

    @property
    def complete(self) -> bool:
        """Whether everything is measured."""
        return len(self.profiles) == 3 and len(self.sharpness) == 3


class Network:
    """A network as it is now, its loss, and the directions of its measurements."""

    POINT_STAGES = ("Gradient", "Top eigenvalues", "Quadratic model", "Trace")
    RADIUS_STAGES = ("Along the gradient", "A random direction", "Average direction",
                     "Worst direction", "Along the worst direction")  # fmt: skip

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFunction,
        data: tuple[Any, Any] | Pairs,
        k: int,
        samples: int,
        seed: int,
    ) -> None:
        self.name = type(model).__name__
        # A copy, so that training may go on meanwhile.
        self._objective = WatchedObjective(copy.deepcopy(model), loss_fn, data)
        self.dim = self._objective.dim
        self._k = min(k, self.dim)
        self._samples, self._seed = samples, seed
        self._x = self._objective.flat_parameters()
        self._look_at_data()
        self._point: PointMeasurement | None = None
        self._directions: dict[str, Tensor] = {}

    def forget(self) -> None:
        """Let the copy of the network and its data go; nothing is measured any more."""
        del self._objective, self._x
        self._directions = {}

    def _look_at_data(self) -> None:
        """Evaluate the loss on the first batch, for what is wrong with it to show at once."""
        for inputs, targets in self._objective._batches(self._x):
            loss = self._objective._loss(self._x, inputs, targets)
            if not bool(loss.isfinite()):
                raise ValueError(f"the loss of the model must be finite, got {float(loss)}")
            return
        raise ValueError("data gave no batch; it must have at least one")

    def point(self, watch: Watch) -> PointMeasurement:
        """Measure what does not depend on ρ, once."""
        if self._point is None:
            self._objective.watch = watch
            self._point = self._measure_point(watch)
        return self._point

    def _measure_point(self, watch: Watch) -> PointMeasurement:
        objective, x = self._objective, self._x
        gradient_stage, eigen_stage, model_stage, trace_stage = self.POINT_STAGES
        watch.begin(gradient_stage, 2)
        loss, gradient = float(objective.value(x)), objective.gradient(x)
        norm = float(gradient.double().norm())
        if not (gradient.isfinite().all() and torch.tensor(loss).isfinite()):
            raise ValueError(
                f"loss and gradient of the model must be finite, got L = {loss} and ‖∇L‖ = {norm}"
            )
        watch.begin(eigen_stage, _EIGEN_PRODUCTS)
        pairs = self._top_eigenpairs()
        if not bool(pairs.values.isfinite().all()):
            raise ValueError("the Hessian of the loss is not finite at the model's parameters")
        watch.begin(model_stage, _MODEL_PRODUCTS + 1)
        generator = torch.Generator().manual_seed(self._seed)
        self._directions = {
            "ascent": unit_direction(gradient),
            "random": random_direction(x, generator),
        }
        slope, curvature = self._small_model(gradient, pairs.vectors[:, 0])
        along = float(slope @ curvature @ slope / slope.square().sum()) if norm else 0.0
        watch.begin(trace_stage, _TRACE_PRODUCTS)
        total = self._trace()
        cosines = (gradient @ pairs.vectors).abs().double().cpu() / norm if norm else None
        return PointMeasurement(
            loss,
            norm,
            _on_cpu(pairs),
            torch.full((self._k,), torch.nan) if cosines is None else cosines.clamp(max=1),
            largest_sine(pairs.values, pairs.residuals),
            along,
            replace(total, value=total.value.cpu(), error=total.error.cpu()),
            QuadraticModel(slope, curvature, along, float(total.value) / self.dim),
        )

    def _top_eigenpairs(self) -> EigenResult:
        if self.dim <= _DENSE_DIM:
            return top_eigenpairs(self._objective, self._x, self._k)
        bar = ProgressBar(None, "", enabled=False)
        return _lanczos(self._objective, self._x, self._k, _EIGEN_RTOL, None, _EIGEN_PRODUCTS, bar)

    def _small_model(self, gradient: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient and Hessian in the span of the gradient's Krylov space and v₁; on the CPU."""
        product = self._objective.hessian_operator(self._x)
        first = gradient if bool(gradient.any()) else top
        krylov = Lanczos(product, first, capacity=_MODEL_PRODUCTS + 1)
        while krylov.size < min(_MODEL_PRODUCTS, self.dim) and not krylov.grow().exhausted:
            pass
        outside = top - (krylov.basis @ top) @ krylov.basis
        if krylov.size < self.dim and float(outside.norm()) > 1e-3:
            krylov.open_block(top)
            krylov.grow(at_most=1)
        slope = krylov.basis @ gradient
        return slope.double().cpu(), krylov.projected.double().cpu()

    def _trace(self) -> Estimate:
        if self.dim <= _DENSE_DIM:
            return trace(self._objective, self._x)
        bar = ProgressBar(None, "", enabled=False)
        return _deflated_trace(
            self._objective, self._x, _TRACE_RTOL, self._seed, _TRACE_PRODUCTS, bar
        )

    def at(self, rho: float, watch: Watch) -> Iterator[RadiusMeasurement]:
        """Measure what depends on ρ: a result for each stage, with all that is known so far."""
        point = self.point(watch)
        objective, x = self._objective, self._x
        objective.watch = watch
        along_gradient, along_random, average, worst, along_worst = self.RADIUS_STAGES
        predicted = point.quadratic.predict(torch.tensor([rho], dtype=torch.float64))
        steps = rho * torch.linspace(-REACH, REACH, PROFILE_POINTS, dtype=torch.float64)
        result = RadiusMeasurement(
            rho, predicted={name: float(value) for name, value in predicted.items()}, steps=steps
        )

        watch.begin(along_gradient, PROFILE_POINTS + 3)
        ascent = ascent_direction_sharpness(objective, x, rho)
        result = _with(result, ascent, "ascent", self._profile(steps, self._directions["ascent"]))
        yield result
        watch.begin(along_random, PROFILE_POINTS)
        profile = self._profile(steps, self._directions["random"])
        result = replace(result, profiles={**result.profiles, "random": profile})
        yield result
        watch.begin(average, self._samples + 1)
        mean, _ = average_direction(objective, x, rho, samples=self._samples, seed=self._seed)
        result = _with(result, mean)
        yield result
        watch.begin(worst, _WORST_EVALUATIONS)
        found, _ = find_worst_direction(objective, x, rho, seed=self._seed)
        assert found.direction is not None
        result = replace(_with(result, found), length=float(found.direction.norm()))
        yield result
        watch.begin(along_worst, PROFILE_POINTS)
        profile = self._profile(steps, unit_direction(found.direction))
        yield replace(result, profiles={**result.profiles, "worst": profile})

    def _profile(self, steps: Tensor, direction: Tensor) -> Tensor:
        """L(x + s d) − L(x) at each s; on the CPU."""
        assert self._point is not None
        some = max(1, _NUMBERS_AT_ONCE // self.dim)
        parts = [
            self._objective.value(self._x + s[:, None] * direction)
            for s in torch.split(steps.to(direction), some)
        ]
        return torch.cat(parts).double().cpu() - self._point.loss


def _with(
    result: RadiusMeasurement,
    sharpness: Sharpness,
    name: str | None = None,
    profile: Tensor | None = None,
) -> RadiusMeasurement:
    """The result with one more sharpness, and a profile, if there is one."""
    kept = replace(
        sharpness,
        value=sharpness.value.detach().cpu(),
        error=sharpness.error.detach().cpu(),
        direction=None,
    )
    known = {**result.sharpness, sharpness.notion.removesuffix("_direction"): kept}
    profiles = dict(result.profiles)
    if name is not None and profile is not None:
        profiles[name] = profile
    return replace(result, sharpness=known, profiles=profiles)


def _on_cpu(pairs: EigenResult) -> EigenResult:
    """Without the vectors, which are as long as the model."""
    return replace(
        pairs,
        values=pairs.values.double().cpu(),
        residuals=pairs.residuals.double().cpu(),
        vectors=pairs.vectors.new_empty(0).cpu(),
    )
