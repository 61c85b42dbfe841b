"""The largest value of a loss in a ball, by local searches from many starts.

Directions v have length at most one, and stand for the points x + ρv of the ball around x.
"""

from __future__ import annotations

import torch
from torch import Tensor

from samlib._batching import how_many_at_once
from samlib._progress import ProgressBar
from samlib.curvature import top_eigenpairs
from samlib.linalg import (
    Lanczos,
    Shards,
    maximize_quadratic,
    part_of_unit_direction,
    unit_direction,
)
from samlib.linalg.dense import eigh
from samlib.objective import Objective
from samlib.sharpness.rounding import measured_rounding, rounding_of

# From where it stands, a round looks so far along the gradient, and so far towards the maximizer
# of the quadratic model.
_LENGTHS = (4.0, 1.0, 0.25, 1 / 16, 1 / 64, 1 / 256)
_FRACTIONS = (1.0, 0.5, 0.25, 1 / 16)

# The dense search stops after so many rounds.
DENSE_ROUNDS = 60

# The rise, the direction v, and how many evaluations it took.
Found = tuple[Tensor, Tensor, int]


def random_points_of_ball(like: Tensor, count: int, seed: int, shards: Shards) -> Tensor:
    """Random points [count, dim], every other one on the sphere, the rest inside."""
    generator = torch.Generator().manual_seed(seed)
    dim = shards.dim
    v = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    length = torch.rand(count, 1, generator=generator, dtype=torch.float64) ** (1 / dim)
    length[::2] = 1.0
    points: Tensor = v / v.norm(dim=-1, keepdim=True) * length
    return shards.part(points).to(like)


def remaining_slope(objective: Objective, x: Tensor, rho: Tensor, v: Tensor) -> Tensor:
    """How far a short step along ρ∇L would move v within the ball, per length of the step."""
    shards = objective.shards
    slope = rho.unsqueeze(-1) * objective.gradient(x + rho.unsqueeze(-1) * v)
    norm = shards.norm(slope)
    outward = shards.dot(slope, v).clamp(min=0)
    on_sphere = shards.norm(v) > 1 - 1e-6
    tangential = shards.norm(slope - outward.unsqueeze(-1) * v)
    remaining: Tensor = torch.where(on_sphere, tangential, norm)
    return remaining


def search_densely(
    objective: Objective,
    points: Tensor,
    radii: Tensor,
    random: Tensor,
    restarts: int,
    rtol: float,
) -> Found:
    """The search at points [batch, dim], all starts and points at once; in chunks for memory."""
    each = max(len(random) * objective.dim, (restarts + 4) * objective.dim**2)
    at_once = how_many_at_once(each)
    parts = [
        _DenseSearch(objective, x, rho).search(random, restarts, rtol)
        for x, rho in zip(torch.split(points, at_once), torch.split(radii, at_once), strict=True)
    ]
    values, directions, evaluations = zip(*parts, strict=True)
    return torch.cat(values), torch.cat(directions), max(evaluations)


class _DenseSearch:
    """The search at points x [batch, dim], from all starts at once, with dense Hessians."""

    def __init__(self, objective: Objective, x: Tensor, radii: Tensor) -> None:
        self._objective = objective
        self._x, self._rho = x, radii[:, None, None]
        self._shards = objective.shards
        self._before = objective.value(x)

    def search(self, random: Tensor, restarts: int, rtol: float) -> Found:
        """Climb from every start by quadratic models; give the best end of each point."""
        v = self._starts(random, restarts)
        rise = self._rise(v.unsqueeze(-2)).squeeze(-1)
        dim = self._objective.dim
        evaluations = len(random) + v.shape[1] + 2 * dim
        rounding = _rounding(self._objective, self._x, self._before).unsqueeze(1)
        for turn in range(DENSE_ROUNDS):
            target, promise, slope = self._model(v)
            candidates = _towards_and_along(v, target, slope, self._shards)
            v, gained = _take_best(v, rise, candidates, self._rise(candidates))
            evaluations += v.shape[1] * (dim + 1 + candidates.shape[2])
            allowed = rtol * gained.abs() + rounding
            done = (promise <= allowed) | (gained - rise <= allowed)
            rise = gained
            if _looks(turn, v) and bool(done.all()):
                break
        best, index = rise.max(dim=1)
        chosen = v.gather(1, index[:, None, None].expand(-1, 1, dim)).squeeze(1)
        # The ball holds its centre: no rise at all is the least that the worst direction can do.
        chosen = torch.where((best < 0).unsqueeze(-1), 0.0, chosen)
        return best.clamp(min=0), chosen, evaluations

    def _starts(self, random: Tensor, restarts: int) -> Tensor:
        """Directions to start from, [batch, starts, dim], the best of the random points last."""
        x = self._x
        top = eigh(self._objective.hessian(x))[1][..., 0].unsqueeze(1).to(x)
        ascent = unit_direction(self._objective.gradient(x)).unsqueeze(1)
        model = self._model(torch.zeros_like(x).unsqueeze(1))[0]
        v = torch.cat([ascent, top, -top, model], dim=1)
        if not restarts:
            return v
        scouts = random.expand(len(x), *random.shape)
        seen = self._rise(scouts.unsqueeze(2)).squeeze(-1)
        best = seen.topk(restarts, dim=1).indices.unsqueeze(-1).expand(-1, -1, x.shape[-1])
        return torch.cat([v, scouts.gather(1, best)], dim=1)

    def _rise(self, v: Tensor) -> Tensor:
        """L(x + ρv) − L(x): [batch, starts, n, dim] → [batch, starts, n]."""
        at = self._x[:, None, None] + self._rho.unsqueeze(-1) * v
        return self._objective.value(at) - self._before[:, None, None]

    def _model(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The maximizer of the quadratic model around v, what it promises, and the slope at v."""
        at = self._x[:, None] + self._rho * v
        slope = self._rho * self._objective.gradient(at)
        curvature = self._rho.unsqueeze(-1) ** 2 * self._objective.hessian(at)
        pull = (curvature @ v.unsqueeze(-1)).squeeze(-1)
        target, maximum = maximize_quadratic(curvature, slope - pull)
        here = (slope * v).sum(dim=-1) - (pull * v).sum(dim=-1) / 2
        return target, (maximum - here).clamp(min=0), slope


def search_matrix_free(
    objective: Objective,
    points: Tensor,
    radii: Tensor,
    random: Tensor,
    rtol: float,
    progress: bool,
) -> Found:
    """The search at points [batch, dim], one after the other, with Hessian-vector products."""
    parts = []
    with ProgressBar(len(points), "worst direction", progress) as bar:
        for x, rho in zip(points, radii, strict=True):
            parts.append(_MatrixFreeSearch(objective, x, rho).search(random, rtol))
            bar.update()
    values, directions, evaluations = zip(*parts, strict=True)
    return torch.stack(values), torch.stack(directions), max(evaluations)


class _MatrixFreeSearch:
    """The search at one point x [dim], one start after the other, by Hessian-vector products."""

    _ROUNDS_FROM_EVERY_START = 12
    _MOST_ROUNDS = 25
    _MODEL_PRODUCTS = 12

    def __init__(self, objective: Objective, x: Tensor, rho: Tensor) -> None:
        self._objective = objective
        self._x, self._rho, self._shards = x, rho, objective.shards
        self._before = objective.value(x)
        self._evaluations = 1

    def search(self, random: Tensor, rtol: float) -> Found:
        """Climb from every start by gradients, then from the best result by quadratic models."""
        origin = torch.zeros_like(self._x)
        top = top_eigenpairs(self._objective, self._x, rtol=1e-2, progress=False)
        self._evaluations += 3 * top.products
        first = top.vectors[:, 0].to(self._x)
        ascent = part_of_unit_direction(self._slope(origin), self._shards)
        model = self._model(origin)[0]
        starts = torch.cat([torch.stack([ascent, first, -first, model]), random])
        at_once = how_many_at_once(len(_LENGTHS) * self._shards.dim)
        climbed = [self._climb_by_gradient(group, rtol) for group in torch.split(starts, at_once)]
        v = torch.cat([v for v, _ in climbed])
        rise = torch.cat([rise for _, rise in climbed])
        best = int(rise.argmax())
        return self._climb_by_model(v[best], rise[best], rtol)

    def _climb_by_gradient(self, v: Tensor, rtol: float) -> tuple[Tensor, Tensor]:
        rise = self._rise(v)
        for turn in range(self._ROUNDS_FROM_EVERY_START):
            candidates = _along_gradient(v, self._slope(v), self._shards)
            v, gained = _take_best(v, rise, candidates, self._rise(candidates))
            done = gained - rise <= 0.01 * gained.abs().max()
            rise = gained
            if _looks(turn, v) and bool(done.all()):
                break
        return v, rise

    def _climb_by_model(self, v: Tensor, rise: Tensor, rtol: float) -> Found:
        rounding = _rounding(self._objective, self._x, self._before)
        for turn in range(self._MOST_ROUNDS):
            target, promise, slope = self._model(v)
            candidates = _towards_and_along(v, target, slope, self._shards)
            v, gained = _take_best(v, rise, candidates, self._rise(candidates))
            allowed = rtol * gained.abs() + rounding
            done = (promise <= allowed) | (gained - rise <= allowed)
            rise = gained
            if _looks(turn, v) and bool(done):
                break
        # The ball holds its centre: no rise at all is the least that the worst direction can do.
        return rise.clamp(min=0), torch.where(rise < 0, 0.0, v), self._evaluations

    def _rise(self, v: Tensor) -> Tensor:
        self._evaluations += v[..., 0].numel()
        return self._objective.value(self._x + self._rho * v) - self._before

    def _slope(self, v: Tensor) -> Tensor:
        self._evaluations += v[..., 0].numel()
        return self._rho * self._objective.gradient(self._x + self._rho * v)

    def _model(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The maximizer of the quadratic model around v in a subspace, its promise, the slope.

        The subspace holds v and the Krylov space of the slope, to which every solution of the
        trust-region problem belongs but for the hard case, from which the start at v₁ leads away.
        """
        slope, shards = self._slope(v), self._shards
        moved = bool(shards.norm(v))
        product = self._objective.hessian_operator(self._x + self._rho * v)
        krylov = Lanczos(
            lambda u: self._rho**2 * product(u),
            v if moved else part_of_unit_direction(slope, shards),
            capacity=self._MODEL_PRODUCTS,
            shards=shards,
        )
        krylov.grow(at_most=1)
        if moved:
            krylov.open_block(slope)
        while not (krylov.full or krylov.grow().exhausted):
            pass
        self._evaluations += 3 * krylov.products
        basis, curvature = krylov.basis, krylov.projected.to(v)
        inside, down = shards.inner(basis, v), shards.inner(basis, slope)
        pull = curvature @ inside
        target, maximum = maximize_quadratic(curvature, down - pull)
        here = (down * inside).sum() - (pull * inside).sum() / 2
        return basis.T @ target, (maximum - here).clamp(min=0), slope


def _rounding(objective: Objective, x: Tensor, before: Tensor) -> Tensor:
    """A gain below this may be none."""
    return rounding_of(before) + measured_rounding(objective, x, objective.value, before)


def _looks(turn: int, on: Tensor) -> bool:
    """Whether the host looks at the device in this round: always on the CPU, else once in four."""
    return on.device.type == "cpu" or turn % 4 == 3


def _into_ball(v: Tensor, shards: Shards) -> Tensor:
    inside: Tensor = v / shards.norm(v).unsqueeze(-1).clamp(min=1)
    return inside


def _along_gradient(v: Tensor, gradient: Tensor, shards: Shards) -> Tensor:
    """Points of the ball reached from v along the gradient, [..., lengths, dim]."""
    direction = part_of_unit_direction(gradient, shards)
    return _into_ball(_at_fractions(v, direction, _LENGTHS), shards)


def _towards(v: Tensor, target: Tensor) -> Tensor:
    """Points of the ball on the way from v to target, [..., fractions, dim]."""
    return _at_fractions(v, target - v, _FRACTIONS)


def _at_fractions(v: Tensor, way: Tensor, fractions: tuple[float, ...]) -> Tensor:
    """v plus these multiples of a way, [..., fractions, dim]."""
    # The multiples are Python's: a tensor of them would be copied from the host in every round.
    return torch.stack([v + fraction * way for fraction in fractions], dim=-2)


def _towards_and_along(v: Tensor, target: Tensor, gradient: Tensor, shards: Shards) -> Tensor:
    return torch.cat([_towards(v, target), _along_gradient(v, gradient, shards)], dim=-2)


def _take_best(v: Tensor, rise: Tensor, candidates: Tensor, rises: Tensor) -> tuple[Tensor, Tensor]:
    """Move to the best candidate where that is a gain: v [..., dim], candidates [..., n, dim]."""
    best, index = rises.max(dim=-1)
    at = index[..., None, None].expand(*index.shape, 1, v.shape[-1])
    moved = candidates.gather(-2, at).squeeze(-2)
    better = best > rise
    return torch.where(better.unsqueeze(-1), moved, v), torch.where(better, best, rise)
