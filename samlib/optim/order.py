"""The order of calls: which one may come next, and what to write instead of one that may not."""

from __future__ import annotations

from typing import Any

from samlib._validation import require_callable


class Calls:
    """How many perturbations the current step has taken, and what that allows."""

    def __init__(self, name: str) -> None:
        self._name = name  # of the optimizer, for errors
        self.ascended = 0
        self.scaled = False  # whether the first pass of a two-step came with a GradScaler

    def start_over(self) -> None:
        """Begin a new step."""
        self.ascended, self.scaled = 0, False

    def require_unperturbed(self, what: str) -> None:
        """Refuse what would take the perturbed weights for the weights."""
        if self.ascended:
            raise RuntimeError(
                f"{what} {self._after()}: the weights are perturbed; call second_step() or "
                "restore() before"
            )

    def require_first_step(self, ascents: int) -> None:
        """Refuse more perturbations than the step takes."""
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
            raise ValueError(
                f"{self._name}.step needs a closure, because it evaluates the gradient at two "
                "points: optimizer.step(closure), where closure() computes the loss, calls "
                "backward() and returns the loss; or call first_step(), run a second backward "
                "pass, and call second_step()"
            )
        if self.ascended and self.scaled != by_scaler:
            raise RuntimeError(
                "gradients scaled by a GradScaler need it in both passes: "
                "optimizer.first_step(scaler), then scaler.step(optimizer)"
            )

    def _after(self) -> str:
        return f"after {self.ascended} call{'s' * (self.ascended != 1)} of first_step()"
