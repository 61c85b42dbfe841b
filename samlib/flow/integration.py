"""A limiting flow in time, in smooth pieces: from tie to tie of the top eigenvalue."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from samlib._progress import ProgressBar
from samlib.flow.drift import Drift, Tied
from samlib.flow.gamma import Place
from samlib.flow.mixtures import NO_SHARE
from samlib.flow.retraction import zero_up_to
from samlib.flow.ties import towards_tie

State = NDArray[np.float64]

# Eigenvalues that part count as parted from this multiple of the gap at which they count as tied.
_PARTED = 2.0
_STEPS_TO_TIE = 4
_MOST_CHANGES = 100  # more than a flow has been seen to have by far


@dataclass(frozen=True)
class Tie:
    """Between two times τ so many of the largest eigenvalues are equal, and fall as one."""

    begin: float
    end: float
    multiplicity: int


@dataclass(frozen=True, eq=False)
class Stop:
    """A place on the way, how many eigenvalues count as tied there, and their mixture Q."""

    place: Place
    mixture: Tensor

    @property
    def multiplicity(self) -> int:
        """How many of them do stay tied."""
        return int((torch.linalg.eigvalsh(self.mixture) > NO_SHARE).sum())


@dataclass(frozen=True)
class _Event:
    """A function of the place that becomes zero, and from which side."""

    name: str
    margin: Callable[[Place], float]
    falls: bool = True


class Integration:
    """Follows a drift; ``gap_rtol`` is the gap relative to λ₁ below which it counts as closed.

    Attributes
    ----------
    start
        Where it begins.
    stops
        Where the flow is at the times that could be reached.
    ties
        Where the top eigenvalue was tied.
    problem
        Why it could not be followed to the last time, if so.
    """

    def __init__(self, drift: Drift, gap_rtol: float) -> None:
        self.drift, self.gamma, self.gap_rtol = drift, drift.gamma, gap_rtol
        self.stops: list[Stop] = []
        self.ties: list[Tie] = []
        self.problem = ""
        self._tied = Tied()
        if drift.regularizer == "top_eigenvalue":
            self._tied = self._settled(self.gamma.begin, self._count_tied(self.gamma.begin, 1))
        self.start = self._stop(self.gamma.state(self.gamma.begin.x))

    @property
    def obstacle(self) -> str:
        """What ends a flow."""
        rank = f"the rank of the Hessian falls below {self.gamma.rank}"
        if self.drift.regularizer != "smallest_nonzero_eigenvalue":
            return rank
        return (
            "the eigenvalue that it follows meets another one (their distance falls below "
            f"{self.gap_rtol:g} λ₁) or {rank}"
        )

    def margin(self, place: Place) -> float:
        """Positive as long as the flow is well defined (Assumptions 3.3 and 4.4)."""
        rest = float(place.values[-1] / zero_up_to(place.values))
        if self.drift.regularizer == "smallest_nonzero_eigenvalue":
            rest = min(rest, float(self.drift.eigengap(place)) / self.gap_rtol)
        return _logarithm(rest)

    def run(self, times: State, rtol: float, atol: float, bar: ProgressBar) -> None:
        """Go to these times, as far as possible."""
        time, end, state = 0.0, float(times[-1]), self.gamma.state(self.gamma.begin.x)
        for _ in range(_MOST_CHANGES):
            events = self._events()
            if end == 0:
                self.stops = [self._stop(state)]
                return
            left = times[len(self.stops) :]
            found = self._piece((time, end), state, left, events, rtol, atol, bar)
            reached = np.asarray(found.y).T.reshape(-1, len(state))
            self.stops += [self._stop(each) for each in reached]
            if found.status < 0:
                self.problem = str(found.message)
                return
            if found.status == 0:
                self._remember(time, end, reached[-1])
                return
            which = next(n for n, at in enumerate(found.t_events) if len(at))
            begun, time, state = time, float(found.t_events[which][0]), found.y_events[which][0]
            self._remember(begun, time, state)
            if events[which].name == "ends":
                self.problem = f"{self.obstacle} at τ = {time:.6g}"
                return
            state = self._change(events[which].name, state)
        self.problem = f"ties come and go without end at τ = {time:.6g}"

    def _piece(
        self,
        span: tuple[float, float],
        state: State,
        times: State,
        events: list[_Event],
        rtol: float,
        atol: float,
        bar: ProgressBar,
    ) -> Any:
        """What SciPy finds up to the first event."""

        def velocity(time: float, state: State) -> State:
            bar.update(max(0, int(100 * time / span[1]) - bar.n))
            return self.gamma.state(self.drift.velocity(self.gamma.at(state), self._tied))

        def as_scipy_wants(event: _Event) -> Callable[[float, State], float]:
            def margin(time: float, state: State) -> float:
                return event.margin(self.gamma.at(state))

            margin.terminal = True  # type: ignore[attr-defined]
            margin.direction = -1 if event.falls else 1  # type: ignore[attr-defined]
            return margin

        tolerances = {"rtol": rtol, "atol": atol}
        watched = [as_scipy_wants(event) for event in events]
        return solve_ivp(
            velocity, span, state, method="DOP853", t_eval=times, events=watched, **tolerances
        )

    # ------------------------------------------------------------------------------------- ties

    def _events(self) -> list[_Event]:
        """What may end the piece that begins."""
        events = [_Event("ends", self.margin)]
        if self.drift.regularizer != "top_eigenvalue":
            return events
        number = self._tied.number
        if number < self.gamma.rank:
            events.append(_Event("meets", lambda p: _logarithm(self._gap(p, number))))
        if number > 1 and self._tied.keeps:
            events.append(_Event("leaves", self._firmness))
        elif number > 1:
            events.append(_Event("returns", self._firmness, falls=False))
            events.append(_Event("parts", lambda p: -_logarithm(self._widest(p)[0] / _PARTED)))
        return events

    def _change(self, event: str, state: State) -> State:
        """Go on with other eigenvalues tied after an event, from a state that fits them."""
        place = self.gamma.at(state)
        if event == "leaves":
            self._tied = Tied(self._tied.number, keeps=False)
            return state
        number = self._widest(place)[1] if event == "parts" else self._tied.number
        number = self._count_tied(place, number + 1 if event == "meets" else number)
        self._tied = self._settled(place, number)
        return self._onto_the_tie(state) if self._tied.keeps and number > 1 else state

    def _settled(self, place: Place, number: int) -> Tied:
        self._tied = Tied(number)
        return Tied(number, keeps=number == 1 or self._firmness(place) > 0)

    def _gap(self, place: Place, number: int) -> float:
        """Between the first so many eigenvalues and the next, in units of gap_rtol λ₁."""
        difference = place.values[number - 1] - place.values[number]
        return float(difference / place.values[0]) / self.gap_rtol

    def _widest(self, place: Place) -> tuple[float, int]:
        """The widest gap among the tied eigenvalues, and how many lie above it."""
        gaps = [self._gap(place, number) for number in range(1, self._tied.number)]
        return max(zip(gaps, range(1, self._tied.number), strict=True))

    def _firmness(self, place: Place) -> float:
        """The smallest eigenvalue of the Q that keeps the tie: the flow has one if positive."""
        mixture = self.drift.mixture(place, Tied(self._tied.number))
        return float(torch.linalg.eigvalsh(mixture)[0])

    def _count_tied(self, place: Place, number: int) -> int:
        """How many count as tied, so many at least."""
        while number < self.gamma.rank and self._gap(place, number) <= 1:
            number += 1
        return number

    def _onto_the_tie(self, state: State) -> State:
        """The nearest state, to first order, where the tied eigenvalues are equal."""
        number = self._tied.number
        for _ in range(_STEPS_TO_TIE):
            place = self.gamma.at(state)
            block = torch.diag(place.values[:number])
            step = towards_tie(self.drift.slopes(place, number), block)
            state = self.gamma.state(place.x + step)
        return state

    def _stop(self, state: State) -> Stop:
        place = self.gamma.at(state)
        if self.drift.regularizer != "top_eigenvalue":
            return Stop(place, place.values.new_ones(1, 1))
        return Stop(place, self.drift.mixture(place, self._tied))

    def _remember(self, begin: float, end: float, state: State) -> None:
        """Note a tie, if there was one in a piece."""
        tied = self._tied  # where they are about to part, Q is on the edge already
        multiplicity = tied.number if tied.keeps else self._stop(state).multiplicity
        if multiplicity == 1:
            return
        last = self.ties[-1] if self.ties else None
        if last is not None and (last.end, last.multiplicity) == (begin, multiplicity):
            begin = self.ties.pop().begin
        self.ties.append(Tie(begin, end, multiplicity))


def _logarithm(ratio: float) -> float:
    """Zero where the ratio is one, and as smooth as an event should be."""
    return math.log(min(max(ratio, 1e-300), 1e300))
