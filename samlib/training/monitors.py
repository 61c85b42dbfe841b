"""Monitors, which measure a network while it learns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from samlib._validation import (
    require_count,
    require_fraction,
    require_instance,
    require_integers,
    require_names,
    require_number,
    require_text,
    shown,
)
from samlib.curvature import top_eigenpairs, trace
from samlib.curvature.alignment import largest_sine
from samlib.objective import (
    Chosen,
    Data,
    Loss,
    LossFunction,
    ModelLossFunction,
    ModuleObjective,
    Objective,
    SizeArgument,
    require_one_loss,
)
from samlib.objective.batch import to_device
from samlib.objective.data import require_batch, require_batches, require_data
from samlib.objective.losses import (
    LossOfModel,
    LossOfOutputs,
    call,
    inputs_of,
    targets_of,
)
from samlib.objective.network import require_chosen
from samlib.objective.shares import require_size
from samlib.sharpness import (
    Sharpness,
    ascent_direction_sharpness,
    average_direction_sharpness,
    worst_direction_sharpness,
)
from samlib.training.batches import Batches
from samlib.training.states import random_state_kept

Monitor = Callable[[int, nn.Module], Mapping[str, Any]]

# How often to start λ₁ from scratch, and otherwise how much of v₂ to start with.
_READINGS_FROM_ONE_START = 10
_PART_OF_SECOND = 0.1

_TRACE_RTOL = 0.05

_CURVATURES = ("top_eigenvalue", "trace", "alignment")


def _worst(objective: Objective, x: Tensor, rho: float) -> Sharpness:
    # Fewer starts and less precision than by default: this is asked many times.
    return worst_direction_sharpness(objective, x, rho, restarts=2, rtol=1e-3, progress=False)


def _average(objective: Objective, x: Tensor, rho: float) -> Sharpness:
    return average_direction_sharpness(objective, x, rho, progress=False)


_NOTIONS: Mapping[str, Callable[[Objective, Tensor, float], Sharpness]] = {
    "worst_direction": _worst,
    "ascent_direction": ascent_direction_sharpness,
    "average_direction": _average,
}


class SharpnessMonitor:
    """Reads sharpness and curvature of the loss, with their errors, while a network is trained.

    Parameters
    ----------
    measure
        Any of "top_eigenvalue" (λ₁ of ∇²L), "trace" (Tr ∇²L), "alignment" (|cos∠(∇L, v₁)|), and
        the three notions of sharpness "worst_direction", "ascent_direction" and
        "average_direction" (R^Max, R^Asc and R^Avg at radius ρ).
    rho
        ρ > 0, for the three notions.
    every
        Steps between two readings; None: read at the end of every epoch.
    data, loss_fn, loss
        The loss to measure; that of the training if not given. As for
        :meth:`samlib.Objective.from_module`, or with ``loss`` for
        :meth:`samlib.Objective.from_loss`.
    size, parameters
        As for :meth:`samlib.Objective.from_loss`.
    rtol
        The residual of λ₁, relative to its size, at which to stop. The trace stops at a standard
        error of 5 %.
    prefix
        Put before each name, to tell two monitors apart, for example "test_".

    Raises
    ------
    ValueError
        If a measure is unknown, a number is out of range, or ρ is missing.

    Notes
    -----
    ``monitor(step, model)`` may also be called by hand; it then needs data and loss_fn. It
    returns, for each measure, its value, and under "<name>_error" its error: for λ₁ the residual
    (an eigenvalue lies that close), for the alignment the largest sine of the angle between the
    vector found and v₁ that the residual and the gap λ₁ − λ₂ allow (Davis and Kahan), for the
    rest what their function reports. "products" counts the Hessian-vector products.

    Following λ₁ is cheap, because each reading starts from the last eigenvector. Alone that would
    be blind: where λ₂ overtakes λ₁, the old eigenvector is still an eigenvector. So the start also
    has a part along v₂, and every tenth reading is made from scratch, for both.

    The module, its mode, buffers and gradients, and the random state are left alone.

    Examples
    --------
    >>> import torch, samlib
    >>> from samlib.training import SharpnessMonitor
    >>> inputs, targets, *_ = samlib.problems.digits(200)
    >>> model = samlib.problems.perceptron((64, 10), seed=0)
    >>> monitor = SharpnessMonitor(
    ...     "top_eigenvalue", data=(inputs, targets), loss_fn=torch.nn.CrossEntropyLoss())
    >>> sorted(monitor(0, model))
    ['products', 'top_eigenvalue', 'top_eigenvalue_error']
    """

    def __init__(
        self,
        measure: str | Iterable[str] = ("top_eigenvalue", "trace", "alignment"),
        *,
        rho: float | None = None,
        every: int | None = None,
        data: Data | None = None,
        loss_fn: LossFunction | None = None,
        loss: ModelLossFunction | None = None,
        size: SizeArgument = None,
        parameters: Chosen | None = None,
        rtol: float = 1e-2,
        prefix: str = "",
    ) -> None:
        self.measure = require_names("measure", measure, (*_CURVATURES, *_NOTIONS))
        if not self.measure:
            raise ValueError(f"measure must name at least one, got {shown(measure)}")
        if rho is not None:
            rho = require_number("rho", rho, positive=True)
        elif wanting := [name for name in self.measure if name in _NOTIONS]:
            raise ValueError(
                f"rho must be given to measure {', '.join(wanting)}, a number > 0; got None"
            )
        self.rho = rho
        self.every = None if every is None else require_count("every", every, minimum=1)
        self.rtol = require_fraction("rtol", rtol)
        self.prefix = require_text("prefix", prefix)
        given = loss_fn is not None or loss is not None
        self._loss = require_one_loss(loss_fn, loss) if given else None
        require_size(size)
        self._data, self._size, self._parameters = data, size, require_chosen(parameters)
        self.start(None, None)

    def start(self, data: Data | None, loss: Loss | None) -> None:
        """Forget earlier readings; measure this loss where none was given before."""
        if loss is not None:
            require_instance("loss", loss, (LossOfModel, LossOfOutputs), "what fit makes of a loss")
        loss = loss if self._loss is None else self._loss
        given = [each for each in (data, self._data) if each is not None]
        sized = self._size is not None
        checked = [_require_data(each, loss, sized=sized) for each in given]
        data = checked[-1] if checked else None
        self._measured = data, loss
        self._calls, self._checked = 0, False
        self._vectors: Tensor | None = None  # v₁ and, from the last reading of both, v₂

    def __call__(self, step: int, model: nn.Module) -> dict[str, float]:
        """Measure the model as it is."""
        require_instance("model", model, nn.Module, "a torch.nn.Module")
        data, loss = self._measured
        if data is None or loss is None:
            raise ValueError(
                "outside fit, SharpnessMonitor needs data= and loss_fn= or loss=, got None"
            )
        readings: dict[str, float] = {}
        with random_state_kept(model):
            # Looked at closely once: a second pass over the data each time would cost too much.
            objective = ModuleObjective(
                model,
                loss,
                data,
                size=self._size,
                parameters=self._parameters,
                check=not self._checked,
            )
            self._measure(objective, objective.flat_parameters(), readings)
        self._checked = True
        return {self.prefix + name: value for name, value in readings.items()}

    def _measure(self, objective: Objective, x: Tensor, readings: dict[str, float]) -> None:
        products = 0
        if "top_eigenvalue" in self.measure or "alignment" in self.measure:
            products += self._top(objective, x, readings)
        for name in self.measure:
            if name == "trace":
                estimate = trace(objective, x, rtol=_TRACE_RTOL, progress=False)
                products += estimate.products
                value, error = estimate.value, estimate.error
            elif name in _NOTIONS:
                assert self.rho is not None
                sharpness = _NOTIONS[name](objective, x, self.rho)
                value, error = sharpness.value, sharpness.error
            else:
                continue
            readings[name], readings[f"{name}_error"] = float(value), float(error)
        readings["products"] = products

    def _top(self, objective: Objective, x: Tensor, readings: dict[str, float]) -> int:
        """Read λ₁ and the alignment; return the number of products."""
        aligned = "alignment" in self.measure
        guess = self._guess(x)
        k = min(objective.dim, 2 if aligned or guess is None else 1)
        pairs = top_eigenpairs(
            objective, x, k=k, rtol=self.rtol, guess=guess, confidence=0.0, progress=False
        )
        self._calls += 1
        known = () if self._vectors is None else self._vectors.unbind(-1)
        self._vectors = torch.stack([*pairs.vectors.unbind(-1), *known[k:]], dim=-1)
        if "top_eigenvalue" in self.measure:
            readings["top_eigenvalue"] = float(pairs.values[0])
            readings["top_eigenvalue_error"] = float(pairs.errors[0])
        if aligned:
            gradient = objective.gradient(x)
            cosine = (pairs.vectors[:, 0] @ gradient).abs() / gradient.norm()
            readings["alignment"] = min(float(cosine), 1.0)
            readings["alignment_error"] = largest_sine(pairs.values, pairs.residuals)
        return pairs.products

    def _guess(self, x: Tensor) -> Tensor | None:
        """v₁ with a part of v₂, as last read; None: start from scratch."""
        vectors = self._vectors
        if self._calls % _READINGS_FROM_ONE_START == 0 or vectors is None:
            return None
        if len(vectors) != len(x) or vectors.device != x.device or vectors.dtype != x.dtype:
            return None
        guess = vectors[:, 0] + _PART_OF_SECOND * vectors[:, 1:2].sum(dim=-1)
        return guess if bool(guess.isfinite().all()) else None


class AccuracyMonitor:
    """Reads the fraction of rows whose largest output is at their target.

    Parameters
    ----------
    data
        (inputs, targets), or anything that gives such pairs again and again; targets are the
        numbers of the classes.
    every
        Steps between two readings; None: read at the end of every epoch.
    name
        Of the number, for example "test_accuracy".

    Examples
    --------
    >>> import torch
    >>> from samlib.training import AccuracyMonitor
    >>> monitor = AccuracyMonitor((torch.eye(2), torch.tensor([0, 1])))
    >>> monitor(0, torch.nn.Identity())
    {'accuracy': 1.0}
    """

    def __init__(self, data: Data, *, every: int | None = None, name: str = "accuracy") -> None:
        self.every = None if every is None else require_count("every", every, minimum=1)
        self.name = require_text("name", name)
        one = require_data(data)
        self._batches = Batches(data if one is None else one, None, None)

    @torch.no_grad()
    def __call__(self, step: int, model: nn.Module) -> dict[str, float]:
        """Count the rows that the model, as it is, gets right."""
        require_instance("model", model, nn.Module, "a torch.nn.Module")
        right, rows = torch.tensor(0), 0
        device = next((p.device for p in model.parameters()), None)
        for batch in self._batches:
            require_batch(batch)
            batch = batch if device is None else to_device(batch, device)
            targets = targets_of(batch)
            require_integers("targets", targets)
            outputs = call(model, inputs_of(batch))
            right = right + (outputs.argmax(dim=-1) == targets).sum()  # on the device
            rows += len(targets)
        return {self.name: int(right) / rows}


def _require_data(data: Data, loss: Loss | None, *, sized: bool) -> Data:
    """Return what a loss is averaged over, if it is known and can be."""
    checked: Data = require_batches(data) if loss is None else loss.require_data(data, sized=sized)
    return data if loss is None else checked
