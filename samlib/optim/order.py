"""The order of calls: which one may come next, and what to write instead of one that may not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from samlib._validation import require_callable


def wrapped(optimizer: Any) -> Any:
    """Return the optimizer whose method runs on Lightning's wrapper, or else the optimizer itself.

    A LightningOptimizer is of the class of the optimizer in it, so that its methods run with the
    wrapper as ``self``: what they would set must not be set there.
    """
    return vars(optimizer).get("_optimizer", optimizer)


class Calls:
    """How many perturbations the current step has taken, and what that allows."""

    def __init__(self, name: str) -> None:
        self._name = name  # of the optimizer, for errors
        self.ascended = 0
        self.scaled = False  # whether the first pass of a two-step came with a GradScaler
        self.same_masks = False  # whether passes of a two-step repeat their random numbers
        self.ending = False  # whether second_step() is calling step()

    def start_over(self) -> None:
        """Begin a new step."""
        self.ascended, self.scaled, self.same_masks = 0, False, False

    def require_unperturbed(self, what: str) -> None:
        """Refuse what would take the perturbed weights for the weights."""
        if self.ascended:
            raise RuntimeError(
                f"{what} {self._after()}: the weights are perturbed; call second_step() or "
                "restore() before"
            )

    @contextmanager
    def end(self) -> Iterator[None]:
        """Let step() end a two-step, also where another library gives it a closure."""
        self.ending = True
        try:
            yield
        finally:
            self.ending = False

    def require_first_step(self, ascents: int, *, same_masks: bool) -> None:
        """Refuse more perturbations than the step takes, and masks that nobody can repeat."""
        if same_masks and not self.same_masks:
            raise RuntimeError(
                "first_step() comes after the pass whose random numbers same_masks=True is to "
                "repeat: use step(closure), or in both passes loss().backward() with loss = "
                "optimizer.with_same_masks(lambda: loss_fn(model(inputs), targets))"
            )
        if self.ascended >= ascents:
            raise RuntimeError(
                f"first_step() {self._after()}: {ascents} a step; next comes a backward "
                "pass and second_step(), or restore()"
            )

    def require_second_step(self, ascents: int) -> None:
        """Refuse an end before all perturbations were taken."""
        if self.ascended < ascents:
            raise RuntimeError(
                f"second_step() {self._after()}: it needs {ascents}, each after a backward pass"
            )

    def require_closure(self, closure: Any, *, by_scaler: bool) -> None:
        """Refuse step(closure) in the middle of a two-step, or called by a GradScaler."""
        require_callable("closure", closure, "it computes the loss and returns it")
        if self.ascended:
            raise RuntimeError(
                f"step(closure) {self._after()}: the weights are perturbed; end that step "
                "with second_step() or restore()"
            )
        if by_scaler:
            raise RuntimeError(
                "scaler.step(optimizer, closure) cannot unscale two gradients; call "
                "optimizer.step(closure, scaler=scaler), then scaler.update()"
            )

    def require_end(self, ascents: int, *, by_scaler: bool) -> None:
        """Refuse step() without a closure where it does not end a two-step."""
        if self.ascended < ascents:
            if self.ascended:
                raise RuntimeError(f"second_step() {self._after()} of {ascents}")
            by = " (In Lightning, see samlib.integrations.lightning.)" if by_scaler else ""
            raise ValueError(
                f"{self._name}.step needs a closure, because it evaluates the gradient at two "
                "points: optimizer.step(closure), where closure() computes the loss, calls "
                "backward() and returns the loss; or call first_step(), run a second backward "
                f"pass, and call second_step(){by}"
            )
        if self.ascended and self.scaled != by_scaler:
            raise RuntimeError(
                "gradients scaled by a GradScaler need it in both passes: "
                "optimizer.first_step(scaler), then scaler.step(optimizer)"
            )

    def _after(self) -> str:
        return f"after {self.ascended} call{'s' * (self.ascended != 1)} of first_step()"
