"""Whether SAM does anything: its two gradients compared, and its edge of stability."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from samlib._validation import (
    require_count,
    require_fraction,
    require_instance,
    require_names,
    require_number,
    require_text,
    shown,
)
from samlib.curvature import EigenResult, hessian, top_eigenpairs
from samlib.curvature.alignment import largest_sine
from samlib.objective import (
    Data,
    Loss,
    LossFunction,
    ModelLossFunction,
    ModuleObjective,
    SizeArgument,
    require_one_loss,
)
from samlib.objective.data import require_batches
from samlib.objective.losses import LossOfModel, LossOfOutputs
from samlib.objective.shares import require_size
from samlib.optim import SharpnessAware
from samlib.training.edge import edge, edge_error, edge_limit, why_no_edge
from samlib.training.gradient_pairs import Means, PairMeans
from samlib.training.history import plural
from samlib.training.states import random_state_kept
from samlib.training.verdict import verdict, verdict_on_edge, verdict_on_share

_OF_PAIRS = ("difference", "ratio", "cosine", "curvature", "edge_along")
_OF_PRODUCTS = ("edge", "share", "top_eigenvalue")
_EDGES = ("edge", "edge_along")

# Units of rounding: in a gradient, and in the weights, whose change stands for the forward pass's.
_ROUNDINGS = 4

# Comparing two gradients may cost as much as the pass of a small network over few rows.
_STEPS_BETWEEN = 10

_DROPOUTS = (
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout
)  # fmt: skip


class SAMEffect:
    """Reads whether SAM does anything in a training that its base optimizer would not do alone.

    Each step of SAM has two gradients, g at the weights and g_p at w + ε, and steps with g_p. The
    monitor compares them as the optimizer has them. That costs no evaluation of the loss and no
    waiting for the device, only memory for some vectors like the gradient. A reading is a mean over
    the first step since the last reading and one in ten of the others, the newest among them if
    readings come at regular distances.

    Parameters
    ----------
    optimizer
        The optimizer of :mod:`samlib.optim` that trains the network. All but
        ``DiametricalRisk``, which has no gradient at the weights, can be read.
    measure
        Any of these; the first five, which are free, as far as they make sense, if not given.

        "difference"
            ‖g_p − g‖/‖g‖.
        "ratio"
            ‖g_p‖/‖g‖.
        "cosine"
            cos∠(g, g_p).
        "curvature"
            λ = ⟨g_p − g, ε⟩/‖ε‖², the mean of the loss's curvature along ε between w and w + ε. To
            first order in ρ it is gᵀHg/‖g‖² for SAM, H the Hessian: at most λ₁, and λ₁ if the
            gradient is aligned.
        "edge_along"
            ηλ(1 + ρλ/‖g‖) with that curvature, and under "edge_limit" what it must not exceed.
        "edge"
            ηλ₁(1 + ρλ₁/‖g‖), λ₁ the top eigenvalue of H; also with "edge_limit".
        "share"
            ‖P∇L‖²/‖∇L‖², the share of the gradient in the space of the k top eigenvectors.
        "top_eigenvalue"
            λ₁.

        The last three need Hessian-vector products, on the data.
    k
        How many top eigenvectors the share is of.
    every
        Steps between two readings; None: read at the end of every epoch.
    data, loss_fn, loss, size
        For the last three: the loss to measure, as for :class:`SharpnessMonitor`; that of the
        training if not given. It is seen as a function of the optimizer's parameters.
    rtol
        The residual of the eigenvalues, relative to the largest, at which to stop.
    prefix
        Put before each name.
    clipping
        The norm that gradients are clipped to, if they are. A step in which one was is left out:
        how long it had been is no longer known.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If a measure is unknown, or not defined for this optimizer, or a number is out of range.

    Notes
    -----
    **Edge of stability.** On L = ½ xᵀHx a step of SAM around SGD multiplies the gradient along an
    eigenvector by 1 − ηλ(1 + ρλ/‖g‖), which leaves [−1, 1] where ηλ(1 + ρλ/‖g‖) > 2 (Long and
    Bartlett, 2024). Since ‖g‖ stands in it, SAM does not converge there: as the gradient shrinks
    the number grows, up to 2, and SAM goes on to and fro across the valley along v₁ (Bartlett, Long
    and Bousquet, 2023). For UnnormalizedSAM it is ηλ(1 + ρλ). Momentum β moves the limit to
    2(1 + β), with Nesterov's to 2(1 + β)/(1 + 2β), for ‖g‖ as it is; with β = 0.9 SAM comes to
    swing to and fro in longer cycles before it gets there. Weight decay μ, the largest of the
    groups', takes ημ off. Around Adam, for other optimizers of the family, and where η, ρ or
    momentum differ among the groups, λ₁ of the Hessian decides nothing, and no edge is given. ‖g‖
    is that of the steps, since SAM divides by it: with small batches it is larger than ‖∇L‖, and
    then 2 is an indication and no threshold.

    **Errors**, under "<name>_error": of λ₁ as :func:`samlib.top_eigenpairs` gives it, of the edges
    what follows from that of the curvature, of the curvature about what rounding of g and g_p in
    the dtype of the weights does, of the share the largest sine between the eigenspace found and
    the true one (Davis and Kahan). The other numbers are what the steps were.

    **Beware** of what else makes two gradients differ: dropout with two masks (``same_masks=True``
    gives it one), low precision (autocast), clipping that ``clipping`` was not told of. g is that
    of the batch: of few rows it is mostly noise.
    For ``MSAM`` each micro-batch counts as a step; between ``LookSAM``'s SAM steps, in steps
    skipped by a GradScaler and at g = 0 there is nothing to compare. All replicas of
    DistributedDataParallel read the same. A copy of the optimizer is not watched.

    Examples
    --------
    >>> import torch, samlib
    >>> from samlib.training import SAMEffect, fit
    >>> inputs, targets, *_ = samlib.problems.digits(200)
    >>> model = samlib.problems.perceptron((64, 32, 10), seed=0)
    >>> base = torch.optim.SGD(model.parameters(), lr=0.5)
    >>> optimizer = samlib.optim.SAM(model.parameters(), base, rho=1e-4)
    >>> effect = SAMEffect(optimizer)
    >>> history = fit(model, (inputs, targets), optimizer, loss_fn=torch.nn.CrossEntropyLoss(),
    ...               epochs=20, monitors=[effect])
    >>> bool(history["sam_difference"].values.max() < 0.01)
    True
    >>> print(effect.summary())
    SAM does next to nothing here: the two gradients differ by ...
    """

    def __init__(
        self,
        optimizer: SharpnessAware,
        measure: str | Iterable[str] | None = None,
        *,
        k: int = 1,
        every: int | None = None,
        data: Data | None = None,
        loss_fn: LossFunction | None = None,
        loss: ModelLossFunction | None = None,
        size: SizeArgument = None,
        rtol: float = 1e-2,
        prefix: str = "sam_",
        clipping: float | None = None,
    ) -> None:
        kind = "an optimizer of samlib.optim"
        self.optimizer = require_instance("optimizer", optimizer, SharpnessAware, kind)
        self.measure = _require_measure(measure, optimizer)
        self.k = require_count("k", k, minimum=1)
        self.every = None if every is None else require_count("every", every, minimum=1)
        self.rtol = require_fraction("rtol", rtol)
        self.prefix = require_text("prefix", prefix)
        if clipping is not None:
            clipping = require_number("clipping", clipping, positive=True)
        self.clipping = clipping
        given = loss_fn is not None or loss is not None
        self._loss = require_one_loss(loss_fn, loss) if given else None
        require_size(size)
        self._data, self._size = data, size
        self.start(None, None)
        self._handle = optimizer.register_gradient_hook(self._add, when=self._due)

    def start(self, data: Data | None, loss: Loss | None) -> None:
        """Forget earlier steps; measure this loss where none was given before."""
        if loss is not None:
            require_instance("loss", loss, (LossOfModel, LossOfOutputs), "what fit makes of a loss")
        if data is not None and loss is not None:
            loss.require_data(data, sized=self._size is not None)
        elif data is not None:
            require_batches(data)
        data = data if self._data is None else self._data
        loss = loss if self._loss is None else self._loss
        if data is not None and loss is not None:
            data = loss.require_data(data, sized=self._size is not None)
        self._measured = data, loss
        self._pairs, self._checked = PairMeans(self.clipping), False
        self._interval, self._steps = self.every or 1, 0  # the last interval, and of this one
        self._vectors: Tensor | None = None  # the top eigenvectors, as last read
        self._summary = "Nothing has been read yet."

    def stop(self) -> None:
        """Watch the optimizer no longer."""
        self._handle.remove()

    def summary(self) -> str:
        """The last reading that had any numbers, in plain sentences."""
        return self._summary

    def __call__(self, step: int, model: nn.Module) -> dict[str, float]:
        """Give the means over the steps since the last call, and measure the model as it is."""
        require_instance("model", model, nn.Module, "a torch.nn.Module")
        readings: dict[str, float] = {}
        means, clipped = self._pairs.take()
        self._interval, self._steps = self._steps or self._interval, 0
        if means is not None:
            self._compare(means, readings)
        if any(name in self.measure for name in _OF_PRODUCTS):
            with random_state_kept(model):
                self._measure(model, means, readings)
        if readings or clipped:
            self._summary = self._said(model, means, clipped, readings)
        return {self.prefix + name: value for name, value in readings.items()}

    def _said(
        self, model: nn.Module, means: Means | None, clipped: int, readings: dict[str, float]
    ) -> str:
        masked = means is not None and not getattr(self.optimizer, "same_masks", False)
        sentences = (
            verdict(type(self.optimizer).__name__, means),
            verdict_on_edge(readings),
            verdict_on_share(readings, self.k),
            f"In {plural(clipped, 'step')} a gradient was clipped; left out here."
            if clipped
            else "",
            _warning_of_dropout(model) if masked else "",
        )
        return " ".join(filter(None, sentences))

    def _due(self) -> bool:
        """Count a step, and say whether to compare its gradients.

        They are in the last one before a reading, if that comes after as many steps as the one
        before it did.
        """
        self._steps += 1
        return self._steps == 1 or (self._steps - self._interval) % _STEPS_BETWEEN == 0

    def _add(self, first: Tensor, perturbation: Tensor, last: Tensor) -> None:
        self._pairs.add(first, perturbation, last)

    def _compare(self, means: Means, readings: dict[str, float]) -> None:
        """Read what the pairs of gradients say."""
        for name in ("difference", "ratio", "cosine"):
            if name in self.measure:
                readings[name] = getattr(means, name)
        if means.length == 0:
            return
        error = self._rounding(means)
        if "curvature" in self.measure:
            readings["curvature"], readings["curvature_error"] = means.curvature, error
        self._edge("edge_along", means, means.curvature, error, readings)

    def _rounding(self, means: Means) -> float:
        """About how far rounding moves the curvature."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        unit = max(torch.finfo(p.dtype).eps for p in parameters)
        norms = [p.detach().norm().float().to(parameters[0].device) for p in parameters]
        size = float(torch.stack(norms).norm())
        return _ROUNDINGS * unit * (means.by_gradients + size * means.by_weights)

    def _edge(
        self, name: str, means: Means, curvature: float, error: float, readings: dict[str, float]
    ) -> None:
        # Looked at each time: a scheduler may have made the groups differ.
        if name not in self.measure or why_no_edge(self.optimizer):
            return
        lr = float(self.optimizer.param_groups[0]["lr"])
        readings[name] = edge(lr, curvature, means.reach)
        readings[f"{name}_error"] = edge_error(lr, curvature, means.reach, error)
        readings["edge_limit"] = edge_limit(self.optimizer)

    def _measure(self, model: nn.Module, means: Means | None, readings: dict[str, float]) -> None:
        """Read what needs Hessian-vector products."""
        pairs, gradient = self._top(model)
        value, error = float(pairs.values[0]), float(pairs.errors[0])
        if "top_eigenvalue" in self.measure:
            readings["top_eigenvalue"], readings["top_eigenvalue_error"] = value, error
        if means is not None:
            self._edge("edge", means, value, error, readings)
        if "share" in self.measure:
            # Scaled, since squares of a small gradient underflow.
            direction = gradient / gradient.abs().max()
            inside = pairs.vectors[:, : self.k].T @ direction
            share = inside.square().sum() / direction.square().sum()
            readings["share"] = min(float(share), 1.0)
            whole = len(pairs.values) <= self.k  # the space is all there is
            sine = 0.0 if whole else largest_sine(pairs.values, pairs.residuals)
            readings["share_error"] = sine
        readings["products"] = pairs.products

    def _top(self, model: nn.Module) -> tuple[EigenResult, Tensor]:
        """Find the top eigenpairs for the optimizer's parameters, and the gradient there."""
        data, loss = self._measured
        if data is None or loss is None:
            raise ValueError("outside fit, SAMEffect needs data= and loss_fn= or loss=, got None")
        held = {p for group in self.optimizer.param_groups for p in group["params"]}
        if not any(p.requires_grad and p in held for p in model.parameters()):
            raise ValueError("model must have parameters of the optimizer that train, and has none")
        # Looked at closely once: a second pass over the data each time would cost too much.
        objective = ModuleObjective(
            model,
            loss,
            data,
            size=self._size,
            parameters=lambda _, p: p in held,
            check=not self._checked,
        )
        x = objective.flat_parameters()
        operator, gradient = hessian(objective, x), objective.gradient(x)
        k = min(operator.dim, self.k + 1 if "share" in self.measure else 1)
        pairs = top_eigenpairs(
            operator, k=k, rtol=self.rtol, guess=self._guess(gradient), progress=False
        )
        self._checked, self._vectors = True, pairs.vectors
        return pairs, gradient

    def _guess(self, like: Tensor) -> Tensor | None:
        """The vectors that were found last, together; None: start from scratch."""
        vectors = self._vectors
        if vectors is None or len(vectors) != len(like) or vectors.device != like.device:
            return None
        guess: Tensor = vectors.sum(dim=-1)
        return guess if bool(guess.isfinite().all()) else None


def _require_measure(
    measure: str | Iterable[str] | None, optimizer: SharpnessAware
) -> tuple[str, ...]:
    reason = why_no_edge(optimizer)
    if measure is None:
        return tuple(name for name in _OF_PAIRS if not (reason and name in _EDGES))
    names = require_names("measure", measure, (*_OF_PAIRS, *_OF_PRODUCTS))
    if not names:
        raise ValueError(f"measure must name at least one, got {shown(measure)}")
    if reason and (asked := [name for name in names if name in _EDGES]):
        raise ValueError(
            f"measure must be without {' and '.join(asked)}, an edge of stability: {reason}"
        )
    return names


def _warning_of_dropout(model: nn.Module) -> str:
    if any(
        (isinstance(module, _DROPOUTS) and module.p > 0)
        or (isinstance(rate := getattr(module, "dropout", 0.0), float) and rate > 0)
        for module in model.modules()
    ):
        return "The model has dropout: where its masks differ, so do the two gradients."
    return ""
