"""The largest rise of the loss in the ball of radius ρ, by a local search from many starts."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_seed,
)
from samlib.curvature import top_eigenpairs
from samlib.linalg import unit_direction
from samlib.linalg.lanczos import Lanczos
from samlib.linalg.trust_region import maximize_quadratic
from samlib.objective import Objective
from samlib.sharpness.notions import NUMBERS_AT_ONCE, Sharpness, points_and_radii, rounding_of

# Up to here the worst direction is searched with dense Hessians, all points and starts at once.
_DENSE_DIM = 64

_MOST_ROUNDS = 60

# Points of the ball at which L is looked at for each random start of the dense search.
_SCOUTS_PER_START = 128


def worst_direction_sharpness(
    objective: Objective,
    x: Tensor,
    rho: float | Tensor,
    restarts: int = 8,
    rtol: float = 1e-6,
    seed: int = 0,
    progress: bool = True,
) -> Sharpness:
    """R^Max(x) = max over ‖v‖ ≤ 1 of L(x + ρv) − L(x), the largest rise (eq. 1).

    A local maximization on the ball, from the gradient's direction, from ±v₁, the top
    eigenvector, from the maximizer of the quadratic model at x, and from random directions. Each
    round solves the trust-region problem of the quadratic model around the present v, and moves
    as far towards its solution, or along the gradient, as raises L most. So it is exact if L is
    quadratic, and otherwise the best of several local maxima: a lower bound, never below the
    ascent direction.

    With dim ≤ 64, the random starts are the best of many more points of the ball, which helps where
    L has several local maxima at distance ρ.

    Parameters
    ----------
    objective
        The loss.
    x
        [..., dim]. With dim ≤ 64 all points and starts are treated at once, with dense Hessians;
        otherwise points one after the other, with Hessian-vector products.
    rho
        ρ > 0, a number or a tensor that broadcasts against the batch dimensions of x.
    restarts
        The number of random starts.
    rtol
        Stop when a round gains, or the quadratic model promises, less than this, relative to the
        value.
    seed
        Fixes the random starts.
    progress
        Whether to show a bar if it takes more than two seconds.

    Raises
    ------
    ValueError
        If ρ is not positive and finite, restarts is negative, rtol is not between 0 and 1, or x has
        the wrong shape.

    Warns
    -----
    RuntimeWarning
        If the search stopped on a slope, as it may at a kink of a network with ReLU units:
        ``error`` is then more than 5 % of the value.

    Examples
    --------
    >>> import torch, samlib
    >>> quadratic = samlib.landscapes.Quadratic([2.0, 1.0])
    >>> worst = samlib.worst_direction_sharpness(quadratic, torch.zeros(2).double(), rho=1.0)
    >>> worst.value, worst.direction.abs()
    (tensor(1., dtype=torch.float64), tensor([1., 0.], dtype=torch.float64))
    """
    result, steep = find_worst_direction(objective, x, rho, restarts, rtol, seed, progress)
    if steep:
        warn_of_early_stop(float(result.error.max()))
    return result


def find_worst_direction(
    objective: Objective,
    x: Tensor,
    rho: float | Tensor,
    restarts: int = 8,
    rtol: float = 1e-6,
    seed: int = 0,
    progress: bool = False,
) -> tuple[Sharpness, bool]:
    """R^Max, and whether the search stopped on a slope somewhere."""
    x, rho = points_and_radii(objective, x, rho)
    require_count("restarts", restarts, minimum=0)
    require_fraction("rtol", rtol)
    seed = require_seed("seed", seed)
    require_flag("progress", progress)
    points, radii = x.reshape(-1, objective.dim), rho.reshape(-1)
    scouts = restarts * (_SCOUTS_PER_START if objective.dim <= _DENSE_DIM else 1)
    random = _random_points_of_ball(x, scouts, seed)
    if objective.dim <= _DENSE_DIM:
        found = _search_densely(objective, points, radii, random, restarts, rtol)
    else:
        found = _search_matrix_free(objective, points, radii, random, rtol, progress)
    value, direction, evaluations = found
    before = objective.value(points)
    slope = _remaining_slope(objective, points, radii, direction)
    rounding = rounding_of(before) + rounding_of(before + value)
    # Where the rise is rounded, so is the place of its maximum, by the root of it. Logarithms of
    # sums are rounded like 1, however small they are.
    fine = 10 * ((rounding + 4 * torch.finfo(x.dtype).eps) * value.abs()).sqrt()
    steep = slope > 0.05 * value + fine + rounding
    batch = x.shape[:-1]
    result = Sharpness(
        value.reshape(batch),
        direction.reshape(*batch, objective.dim),
        (slope + rounding).reshape(batch),
        "lower bound",
        "worst",
        evaluations,
    )
    return result, bool(steep.any())


def warn_of_early_stop(slope: float) -> None:
    """Warn that the search stopped where L has this slope within the ball."""
    warnings.warn(
        "the search for the worst direction stopped early: at the direction found, L still has "
        f"a slope of {slope:.2g} within the ball",
        RuntimeWarning,
        stacklevel=3,
    )


def _looks(turn: int, on: Tensor) -> bool:
    """Whether the host looks at the device in this round: always on the CPU, else once in four."""
    return on.device.type == "cpu" or turn % 4 == 3


def _into_ball(v: Tensor) -> Tensor:
    inside: Tensor = v / v.norm(dim=-1, keepdim=True).clamp(min=1)
    return inside


def _along_gradient(v: Tensor, gradient: Tensor, lengths: tuple[float, ...]) -> Tensor:
    """Points of the ball reached from v along the gradient, [..., lengths, dim]."""
    steps = v.new_tensor(lengths).unsqueeze(-1)
    ascended = v.unsqueeze(-2) + steps * unit_direction(gradient).unsqueeze(-2)
    return _into_ball(ascended)


def _towards(v: Tensor, target: Tensor, fractions: tuple[float, ...]) -> Tensor:
    """Points of the ball on the way from v to target, [..., fractions, dim]."""
    parts = v.new_tensor(fractions).unsqueeze(-1)
    return v.unsqueeze(-2) + parts * (target - v).unsqueeze(-2)


def _take_best(v: Tensor, rise: Tensor, candidates: Tensor, rises: Tensor) -> tuple[Tensor, Tensor]:
    """Move to the best candidate where that is a gain: v [..., dim], candidates [..., n, dim]."""
    best, index = rises.max(dim=-1)
    at = index[..., None, None].expand(*index.shape, 1, v.shape[-1])
    moved = candidates.gather(-2, at).squeeze(-2)
    better = best > rise
    return torch.where(better.unsqueeze(-1), moved, v), torch.where(better, best, rise)


_LENGTHS = (4.0, 1.0, 0.25, 1 / 16, 1 / 64, 1 / 256)

_FRACTIONS = (1.0, 0.5, 0.25, 1 / 16)

# R^Max, v, evaluations
Found = tuple[Tensor, Tensor, int]


def _random_points_of_ball(like: Tensor, count: int, seed: int) -> Tensor:
    """Random points [count, dim], every other one on the sphere, the rest inside."""
    generator = torch.Generator().manual_seed(seed)
    dim = like.shape[-1]
    v = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    length = torch.rand(count, 1, generator=generator, dtype=torch.float64) ** (1 / dim)
    length[::2] = 1.0
    points: Tensor = v / v.norm(dim=-1, keepdim=True) * length
    return points.to(like)


def _remaining_slope(objective: Objective, x: Tensor, rho: Tensor, v: Tensor) -> Tensor:
    """How far a short step along ρ∇L would move v within the ball, per length of the step."""
    slope = rho.unsqueeze(-1) * objective.gradient(x + rho.unsqueeze(-1) * v)
    norm = slope.norm(dim=-1)
    outward = (slope * v).sum(dim=-1).clamp(min=0)
    on_sphere = v.norm(dim=-1) > 1 - 1e-6
    tangential = (slope - outward.unsqueeze(-1) * v).norm(dim=-1)
    remaining: Tensor = torch.where(on_sphere, tangential, norm)
    return remaining


def _search_densely(
    objective: Objective,
    points: Tensor,
    radii: Tensor,
    random: Tensor,
    restarts: int,
    rtol: float,
) -> Found:
    """The search at points [batch, dim], all starts and points at once; in chunks for memory."""
    each = max(len(random) * objective.dim, (restarts + 4) * objective.dim**2)
    at_once = max(1, NUMBERS_AT_ONCE // each)
    parts = [
        _search_chunk(objective, x, rho, random, restarts, rtol)
        for x, rho in zip(torch.split(points, at_once), torch.split(radii, at_once), strict=True)
    ]
    values, directions, evaluations = zip(*parts, strict=True)
    return torch.cat(values), torch.cat(directions), max(evaluations)


def _search_chunk(
    objective: Objective, x: Tensor, radii: Tensor, random: Tensor, restarts: int, rtol: float
) -> Found:
    before = objective.value(x)
    rho = radii[:, None, None]

    def rise_of(v: Tensor) -> Tensor:  # [batch, starts, n, dim] → [batch, starts, n]
        at = x[:, None, None] + rho.unsqueeze(-1) * v
        return objective.value(at) - before[:, None, None]

    def model(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The maximizer of the quadratic model around v, what it promises, and the slope at v."""
        at = x[:, None] + rho * v
        slope, curvature = (
            rho * objective.gradient(at),
            rho.unsqueeze(-1) ** 2 * objective.hessian(at),
        )
        pull = (curvature @ v.unsqueeze(-1)).squeeze(-1)
        target, maximum = maximize_quadratic(curvature, slope - pull)
        here = (slope * v).sum(dim=-1) - (pull * v).sum(dim=-1) / 2
        return target, (maximum - here).clamp(min=0), slope

    origin = torch.zeros_like(x).unsqueeze(1)
    top = torch.linalg.eigh(objective.hessian(x)).eigenvectors[..., -1].unsqueeze(1)
    ascent = unit_direction(objective.gradient(x)).unsqueeze(1)
    v = torch.cat([ascent, top, -top, model(origin)[0]], dim=1)
    scouts = random.expand(len(x), *random.shape)
    if restarts:
        seen = rise_of(scouts.unsqueeze(2)).squeeze(-1)
        best = seen.topk(restarts, dim=1).indices.unsqueeze(-1).expand(-1, -1, objective.dim)
        v = torch.cat([v, scouts.gather(1, best)], dim=1)
    rise = rise_of(v.unsqueeze(-2)).squeeze(-1)
    evaluations = len(random) + v.shape[1] + 2 * objective.dim
    for turn in range(_MOST_ROUNDS):
        target, promise, slope = model(v)
        candidates = torch.cat(
            [_towards(v, target, _FRACTIONS), _along_gradient(v, slope, _LENGTHS)], dim=-2
        )
        v, gained = _take_best(v, rise, candidates, rise_of(candidates))
        evaluations += v.shape[1] * (objective.dim + 1 + candidates.shape[2])
        allowed = rtol * gained.abs() + rounding_of(before).unsqueeze(1)
        done = (promise <= allowed) | (gained - rise <= allowed)
        rise = gained
        if _looks(turn, x) and bool(done.all()):
            break
    best, index = rise.max(dim=1)
    chosen = v.gather(1, index[:, None, None].expand(-1, 1, objective.dim)).squeeze(1)
    # The ball holds its centre: no rise at all is the least that the worst direction can do.
    chosen = torch.where((best < 0).unsqueeze(-1), 0.0, chosen)
    return best.clamp(min=0), chosen, evaluations


def _search_matrix_free(
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
            parts.append(_Climb(objective, x, rho).search(random, rtol))
            bar.update()
    values, directions, evaluations = zip(*parts, strict=True)
    return torch.stack(values), torch.stack(directions), max(evaluations)


class _Climb:
    """The search for the worst direction at one point, without dense Hessians."""

    _ROUNDS_FROM_EVERY_START = 12
    _MOST_ROUNDS = 25
    _MODEL_PRODUCTS = 12

    def __init__(self, objective: Objective, x: Tensor, rho: Tensor) -> None:
        self._objective = objective
        self._x, self._rho = x, rho
        self._before = objective.value(x)
        self._evaluations = 1

    def search(self, random: Tensor, rtol: float) -> Found:
        """Climb from every start by gradients, then from the best result by quadratic models."""
        origin = torch.zeros_like(self._x)
        top = top_eigenpairs(self._objective, self._x, rtol=1e-2, progress=False)
        self._evaluations += 3 * top.products
        first = top.vectors[:, 0]
        ascent = unit_direction(self._slope(origin))
        model = self._model(origin)[0]
        starts = torch.cat([torch.stack([ascent, first, -first, model]), random])
        at_once = max(1, NUMBERS_AT_ONCE // (len(_LENGTHS) * len(self._x)))
        climbed = [self._climb_by_gradient(group, rtol) for group in torch.split(starts, at_once)]
        v = torch.cat([v for v, _ in climbed])
        rise = torch.cat([rise for _, rise in climbed])
        best = rise.argmax()
        return self._climb_by_model(v[best], rise[best], rtol)

    def _climb_by_gradient(self, v: Tensor, rtol: float) -> tuple[Tensor, Tensor]:
        rise = self._rise(v)
        for turn in range(self._ROUNDS_FROM_EVERY_START):
            candidates = _along_gradient(v, self._slope(v), _LENGTHS)
            v, gained = _take_best(v, rise, candidates, self._rise(candidates))
            done = gained - rise <= 0.01 * gained.abs().max()
            rise = gained
            if _looks(turn, v) and bool(done.all()):
                break
        return v, rise

    def _climb_by_model(self, v: Tensor, rise: Tensor, rtol: float) -> Found:
        rounding = rounding_of(self._before)
        for turn in range(self._MOST_ROUNDS):
            target, promise, slope = self._model(v)
            candidates = torch.cat(
                [_towards(v, target, _FRACTIONS), _along_gradient(v, slope, _LENGTHS)], dim=-2
            )
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
        slope = self._slope(v)
        product = self._objective.hessian_operator(self._x + self._rho * v)
        krylov = Lanczos(
            lambda u: self._rho**2 * product(u),
            v if bool(v.any()) else unit_direction(slope),
            capacity=self._MODEL_PRODUCTS,
        )
        krylov.grow(at_most=1)
        if bool(v.any()):
            krylov.open_block(slope)
        while not (krylov.full or krylov.grow().exhausted):
            pass
        self._evaluations += 3 * krylov.products
        basis, curvature = krylov.basis, krylov.projected.to(v)
        inside, down = basis @ v, basis @ slope
        pull = curvature @ inside
        target, maximum = maximize_quadratic(curvature, down - pull)
        here = (down * inside).sum() - (pull * inside).sum() / 2
        return basis.T @ target, (maximum - here).clamp(min=0), slope
