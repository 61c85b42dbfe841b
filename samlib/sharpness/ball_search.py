"""The largest value of a loss in a ball, by local searches from many starts.

Directions v have length at most one, and stand for the points x + ρv of the ball around x. There
are two searches. With few parameters, Newton's method by dense Hessians from the best of very many
points. With many, projected gradient ascent: along the gradient, by steps of a given length, back
to the sphere (Balashov, Polyak and Tremba, 2020), from all starts together; after each round the
worse half of them is left, and steps are shorter. Newton's method on the sphere (Absil, Mahony and
Sepulchre, 2008, ch. 6), in the Krylov space of the slope, finishes the climb that got highest, and
makes another from the gradient's direction alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

# From where it stands, a round of the dense search looks so far along the gradient, and so far
# towards the maximizer of the quadratic model.
_LENGTHS = (4.0, 1.0, 0.25, 1 / 16, 1 / 64, 1 / 256)
_FRACTIONS = (1.0, 0.5, 0.25, 1 / 16)

# The dense search stops after so many rounds.
DENSE_ROUNDS = 60

# A round of projected ascent takes about so many gradients, for all starts together, and at least
# so many steps. They begin with this length, and end a round shorter by this factor, in which the
# next one begins; the last round ends shorter still, for kinks. A step goes along the mean of
# slopes with this weight for those before: zigzags across a ridge cancel.
_GRADIENTS_A_ROUND = 64
_FEWEST_STEPS = 5
_FIRST_STEP, _SHORTER, _SHORTER_AT_LAST = 0.8, 0.3, 0.03
_MOMENTUM = 0.5

# Newton's method takes at most so many steps, each from so many products with the Hessian, and
# looks at these parts of a step. A product counts as two gradients, the most it costs: about one
# over a graph that is kept, two where it is made anew.
NEWTON_STEPS = 25
_PRODUCTS = 12
_PARTS_OF_STEP = (1.0, 0.5, 0.25, 1 / 16, 1 / 64, 1 / 256)
_GRADIENTS_A_PRODUCT = 2


@dataclass(frozen=True)
class Found:
    """The highest points that a search found.

    Attributes
    ----------
    rise
        L(x + ρv) − L(x), [...].
    direction
        v, [..., dim].
    unfinished
        What the climb to v might still have gained, [...].
    spread
        By how much other climbs, of those that went on longest, stayed below it, [...].
    evaluations
        What that took at each point, in gradients.
    """

    rise: Tensor
    direction: Tensor
    unfinished: Tensor
    spread: Tensor
    evaluations: int


def _joined(parts: Sequence[Found], join: Callable[[list[Tensor]], Tensor]) -> Found:
    return Found(
        join([part.rise for part in parts]),
        join([part.direction for part in parts]),
        join([part.unfinished for part in parts]),
        join([part.spread for part in parts]),
        max(part.evaluations for part in parts),
    )


def random_points_of_ball(like: Tensor, count: int, seed: int, shards: Shards) -> Tensor:
    """Random points [count, dim], every other one on the sphere, the rest inside."""
    generator = torch.Generator().manual_seed(seed)
    dim = shards.dim
    v = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    length = torch.rand(count, 1, generator=generator, dtype=torch.float64) ** (1 / dim)
    length[::2] = 1.0
    points: Tensor = v / v.norm(dim=-1, keepdim=True) * length
    return shards.part(points).to(like)


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
    return _joined(parts, torch.cat)


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
        (best, second), indices = (each.unbind(1) for each in rise.topk(2, dim=1))
        chosen = v.gather(1, indices[0][:, None, None].expand(-1, 1, dim)).squeeze(1)
        # The ball holds its centre: no rise at all is the least that the worst direction can do.
        chosen = torch.where((best < 0).unsqueeze(-1), 0.0, chosen)
        best, second = best.clamp(min=0), second.clamp(min=0)
        unfinished = self._promise(chosen)
        return Found(best, chosen, unfinished, best - second, evaluations + dim + 1)

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

    def _promise(self, v: Tensor) -> Tensor:
        """What Newton's step from v [batch, dim] promises, [batch]."""
        rho = self._rho[:, 0]
        at = self._x + rho * v
        uphill, multiplier, normal = _slope_within_ball(
            v, rho * self._objective.gradient(at), self._shards
        )
        eye = torch.eye(v.shape[-1], dtype=v.dtype, device=v.device)
        tangential = eye - normal.unsqueeze(-1) * normal.unsqueeze(-2)
        bent = multiplier.unsqueeze(-1) * eye - rho.unsqueeze(-1) ** 2 * self._objective.hessian(at)
        curvatures, vectors = eigh(tangential @ bent @ tangential)
        parts = (vectors.mT @ uphill.to(vectors).unsqueeze(-1)).squeeze(-1)
        return _newton(curvatures, parts)[1].to(v)


def search_matrix_free(
    objective: Objective,
    points: Tensor,
    radii: Tensor,
    random: Tensor,
    rtol: float,
    progress: bool,
) -> Found:
    """The search at points [batch, dim], one after the other, by gradients and products."""
    parts = []
    with ProgressBar(len(points), "worst direction", progress) as bar:
        for x, rho in zip(points, radii, strict=True):
            parts.append(_MatrixFreeSearch(objective, x, rho).search(random, rtol))
            bar.update()
    return _joined(parts, torch.stack)


class _MatrixFreeSearch:
    """The search at one point x [dim], from all starts at once."""

    def __init__(self, objective: Objective, x: Tensor, rho: Tensor) -> None:
        self._objective = objective
        self._x, self._rho, self._shards = x, rho, objective.shards
        self._before = objective.value(x)
        self._evaluations = 1

    def search(self, random: Tensor, rtol: float) -> Found:
        """Ascend from all starts, from the better half of them, …, and finish the highest climb."""
        starts, step = self._starts(random), _FIRST_STEP
        v, rise = self._ascend(starts, step)
        while len(v) > 2:
            # The first comes from the gradient, and stays: no other ascent from there gets higher.
            ranked = torch.cat([torch.full_like(rise[:1], torch.inf), rise[1:]])
            step *= _SHORTER
            v, rise = self._ascend(v[ranked.topk(max(2, len(v) // 2)).indices], step)
        lower = rise.amin()
        v, rise = self._ascend(v[rise.argmax()].unsqueeze(0), step * _SHORTER, _SHORTER_AT_LAST)
        # Long steps may have left a ridge that leads up from the gradient's direction.
        ends = [
            self._climb_by_newton(v[0], rise[0], rtol),
            self._climb_by_newton(starts[0], self._rise(starts[0]), rtol),
        ]
        v, rise, unfinished = (torch.stack(each) for each in zip(*ends, strict=True))
        best = rise.argmax()
        spread = rise[best] - torch.minimum(lower, rise.amin())
        v, gained, unfinished = v[best], rise[best], unfinished[best]
        # The ball holds its centre: no rise at all is the least that the worst direction can do.
        v, gained = torch.where(gained < 0, 0.0, v), gained.clamp(min=0)
        return Found(gained, v, unfinished, spread, self._evaluations)

    def _starts(self, random: Tensor) -> Tensor:
        """The gradient's direction, about ±v₁, the top eigenvector, and random ones."""
        ascent = part_of_unit_direction(self._slope(torch.zeros_like(self._x)), self._shards)
        top = top_eigenpairs(self._objective, self._x, rtol=0.1, confidence=0, progress=False)
        self._evaluations += _GRADIENTS_A_PRODUCT * top.products
        first = top.vectors[:, 0].to(self._x)
        return torch.cat([torch.stack([ascent, first, -first]), random])

    def _ascend(self, v: Tensor, step: float, shorter: float = _SHORTER) -> tuple[Tensor, Tensor]:
        """A round of projected ascent from all v [starts, dim], and how high they got."""
        steps = max(_FEWEST_STEPS, _GRADIENTS_A_ROUND // len(v))
        groups = torch.split(v, how_many_at_once(4 * v.shape[-1]))
        v = torch.cat([self._ascend_together(group, step, shorter, steps) for group in groups])
        return v, self._rise(v)

    def _ascend_together(self, v: Tensor, step: float, shorter: float, steps: int) -> Tensor:
        ahead = torch.zeros_like(v)
        for _ in range(steps):
            uphill = self._direction_within_ball(v, self._slope(v))
            ahead = self._direction_within_ball(v, _MOMENTUM * ahead + uphill)
            v = _into_ball(v + step * ahead, self._shards)
            step *= shorter ** (1 / steps)
        return v

    def _direction_within_ball(self, v: Tensor, slope: Tensor) -> Tensor:
        return part_of_unit_direction(_slope_within_ball(v, slope, self._shards)[0], self._shards)

    def _climb_by_newton(
        self, v: Tensor, rise: Tensor, rtol: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Newton's method from v [dim]; where it ends, how high that is, and what is unfinished."""
        rounding = _rounding(self._objective, self._x, self._before)
        rises = [rise]
        for turn in range(NEWTON_STEPS):
            step, promise = self._newton_step(v)
            candidates = _into_ball(_at_fractions(v, step, _PARTS_OF_STEP), self._shards)
            v, rise = _take_best(v, rise, candidates, self._rise(candidates))
            gain = rise - rises[-1]
            rises.append(rise)
            allowed = rtol * rise.abs() + rounding
            if _looks(turn, v) and bool((promise <= allowed) | (gain <= allowed)):
                return v, rise, (promise - gain).clamp(min=0)
        return v, rise, _gain_to_come(rises, allowed)

    def _newton_step(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Newton's step from v [dim] in the Krylov space of the slope, and what it promises."""
        uphill, multiplier, normal = _slope_within_ball(v, self._slope(v), self._shards)
        product = self._objective.hessian_operator(self._x + self._rho * v)
        krylov = Lanczos(
            lambda u: multiplier * u - self._rho**2 * product(u),
            part_of_unit_direction(uphill, self._shards),
            capacity=_PRODUCTS,
            avoided=normal.unsqueeze(0),
            shards=self._shards,
        )
        while not (krylov.full or krylov.grow().exhausted):
            pass
        self._evaluations += _GRADIENTS_A_PRODUCT * krylov.products
        seen = torch.cat([krylov.seen.values[None], krylov.seen.vectors]).to(v)
        curvatures, vectors = seen[0], seen[1:]
        along, promise = _newton(curvatures, self._shards.norm(uphill) * vectors[:1].flatten())
        return krylov.basis.T @ (vectors @ along), promise

    def _rise(self, v: Tensor) -> Tensor:
        self._evaluations += v[..., 0].numel()
        return self._objective.value(self._x + self._rho * v) - self._before

    def _slope(self, v: Tensor) -> Tensor:
        self._evaluations += v[..., 0].numel()
        return self._rho * self._objective.gradient(self._x + self._rho * v)


def _slope_within_ball(v: Tensor, slope: Tensor, shards: Shards) -> tuple[Tensor, Tensor, Tensor]:
    """The part of a slope at v [..., dim] that stays in the ball, and what keeps it there.

    That is a multiple μ ≥ 0, [..., 1], of a unit normal, which is 0 where nothing is kept back.
    """
    outward = shards.dot(slope, v).unsqueeze(-1)
    kept_back = (shards.norm(v).unsqueeze(-1) > 1 - 1e-6) & (outward > 0)
    multiplier = torch.where(kept_back, outward, 0.0)
    return slope - multiplier * v, multiplier, torch.where(kept_back, v, 0.0)


def _newton(curvatures: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Newton's step uphill, by its parts along eigenvectors of −∇²L, and what it promises.

    It goes uphill where −∇²L is negative too, and nowhere farther than along the slope by one.
    """
    longest = torch.maximum(curvatures.abs(), slopes.norm(dim=-1, keepdim=True))
    longest = longest.clamp(min=torch.finfo(slopes.dtype).tiny)
    return slopes / longest, (slopes.square() / longest).sum(dim=-1) / 2


def _gain_to_come(rises: list[Tensor], allowed: Tensor) -> Tensor:
    """What a climb may still gain that has not ended: infinite where its gains do not fall.

    A doubling of the steps gained q times what the doubling before gained, and may so go on.
    """
    half, quarter = len(rises) // 2, len(rises) // 4
    last, before = rises[-1] - rises[half], rises[half] - rises[quarter]
    to_come = torch.maximum(last, last.square() / (before - last))
    return torch.where(last <= allowed, last, torch.where(last < before, to_come, torch.inf))


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
