"""The figure Explore, which measures a network in the background and shows it."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from samlib._validation import require_count, require_number, require_seed, shown
from samlib.objective import require_one_loss
from samlib.widgets.core.background import Background, Stopped
from samlib.widgets.core.figure import Figure
from samlib.widgets.core.traits import Real
from samlib.widgets.figures.explore.description import (
    describe_both,
    describe_point,
    describe_radius,
    table_of,
)
from samlib.widgets.figures.explore.measurement import PointMeasurement, RadiusMeasurement
from samlib.widgets.figures.explore.model import Network
from samlib.widgets.figures.explore.progress import Progress, idle, running
from samlib.widgets.figures.explore.still import draw
from samlib.widgets.figures.explore.watch import Watch

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as MatplotlibFigure
    from torch import nn

    from samlib.objective import Chosen, Data, LossFunction, ModelLossFunction, SizeArgument
    from samlib.sharpness import Sharpness

LIMITS = (1e-6, 1e3)

SLIDERS: Mapping[str, tuple[float, float]] = {"rho": (0.001, 1.0)}

# The radii of a sweep.
SWEEP = tuple(float(f"{radius:.3g}") for radius in np.geomspace(*SLIDERS["rho"], 7))

# While a slider moves on the page, nothing begins; progress is shown so often.
_SETTLE = 0.15
_BETWEEN_REPORTS = 0.1


class Explore(Figure):
    """A network's three sharpnesses at the radii the reader picks.

    Made by :func:`samlib.widgets.explore`.
    """

    state_names = ("rho", "panels")
    panel_names = ("numbers", "profile", "spectrum", "cosines")
    _ready = False  # may a change of ρ be answered?
    _sliders = SLIDERS

    _figure = traitlets.Unicode("Explore", read_only=True).tag(sync=True)
    rho: Any = Real(*LIMITS).tag(sync=True)
    # What the page shows. It never sets them.
    _network = traitlets.Dict().tag(sync=True)
    _point = traitlets.Dict().tag(sync=True)
    _measured: Any = traitlets.List().tag(sync=True)
    _current = traitlets.Dict().tag(sync=True)
    _progress = traitlets.Dict().tag(sync=True)
    _message = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFunction | None = None,
        data: Data | None = None,
        *,
        loss: ModelLossFunction | None = None,
        size: SizeArgument = None,
        parameters: Chosen | None = None,
        rho: float = 0.05,
        k: int = 5,
        samples: int = 512,
        seed: int = 0,
    ) -> None:
        require_count("k", k, minimum=1)
        require_count("samples", samples, minimum=4)
        if samples % 2:
            raise ValueError(
                f"samples must be even, because directions come in pairs, got {samples}"
            )
        seed = require_seed("seed", seed)
        self._lock = threading.RLock()
        self._background = Background()
        self._from_page = False
        self._error: BaseException | None = None
        self._at_point: PointMeasurement | None = None
        self._results: dict[float, RadiusMeasurement] = {}
        self._reported = 0.0
        self._explored = Network(
            model,
            require_one_loss(loss_fn, loss),
            _required(data),
            size=size,
            parameters=parameters,
            k=k,
            samples=samples,
            seed=seed,
        )
        named = {"name": self._explored.name, "parameters": self._explored.dim}
        super().__init__(rho=rho, _network=named, _progress=idle())
        self.on_msg(self._on_message)
        # Also when Python ends or forgets the figure.
        self._end = weakref.finalize(self, self._background.close)
        self._ready = True
        self._measure([self.rho])

    @property
    def parameters(self) -> int:
        """D, the number of trainable parameters."""
        return self._explored.dim

    # ── What was measured ────────────────────────────────────────────────────────────────────────

    @property
    def point(self) -> PointMeasurement | None:
        """Loss, gradient, eigenvalues and trace, for any ρ; None until measured."""
        return self._at_point

    @property
    def results(self) -> Mapping[float, RadiusMeasurement]:
        """What was measured at each ρ, in the order of ρ."""
        with self._lock:
            return MappingProxyType(dict(sorted(self._results.items())))

    @property
    def sharpness(self) -> Mapping[str, Sharpness]:
        """R^Max, R^Asc and R^Avg at the present ρ, as "worst", "ascent" and "average".

        Raises
        ------
        RuntimeError
            If they are not measured; :meth:`wait` waits for them.
        """
        result = self._results.get(self.rho)
        if result is None:
            raise RuntimeError(f"nothing is measured at rho = {self.rho:g} yet; call wait() first")
        return result.sharpness

    @property
    def error(self) -> BaseException | None:
        """What went wrong in the last measurement, if anything did."""
        return self._error

    def to_dataframe(self) -> pd.DataFrame:
        """One row per ρ and notion: rho, notion, value, error, kind, predicted, evaluations."""
        return table_of(self.results)

    # ── Measuring ────────────────────────────────────────────────────────────────────────────────

    def sweep(self, radii: Iterable[float] = SWEEP) -> None:
        """Measure at several ρ, one after the other, in the background.

        Raises
        ------
        InvalidTraitError
            If one of them is out of range.
        RuntimeError
            If the figure is closed.
        """
        if isinstance(radii, str) or not isinstance(radii, Iterable):
            raise TypeError(f"radii must be a sequence of numbers, got {shown(radii)}")
        trait = self.traits()["rho"]
        self._measure([trait.validate(self, radius) for radius in radii])

    def cancel(self) -> None:
        """Stop measuring. What is measured stays."""
        with self._lock:
            self._background.stop()
            self._set(_progress=idle(), _current={})

    def wait(self, timeout: float | None = None) -> Explore:
        """Wait until all that was asked for is measured, and return the figure.

        Parameters
        ----------
        timeout
            The most seconds to wait; without it, as long as it takes.

        Raises
        ------
        TimeoutError
            If it takes longer than ``timeout``.
        Exception
            What went wrong in the measurement, if anything did.
        """
        if timeout is not None:
            require_number("timeout", timeout)
        if not self._background.wait(timeout):
            raise TimeoutError(f"still measuring after {timeout:g} s")
        if self._error is not None:
            raise self._error
        return self

    def close(self) -> None:
        """Stop measuring for good, and take the figure down."""
        if self._ready:  # not if the arguments were wrong
            self._ready = False
            self._background.close()
            self._explored.forget()
        super().close()

    def _measure(self, radii: list[float]) -> None:
        """Measure at these ρ, as far as that is not done, instead of what is being measured."""
        if not self._ready:
            raise RuntimeError("this figure is closed; make another one")
        settle = _SETTLE if self._from_page else 0.0
        with self._lock:
            wanted = [rho for rho in dict.fromkeys(radii) if rho not in self._results]
            self._error = None
            if not wanted:
                self._background.stop()
                self._set(_progress=idle(), _current={}, _message="")
                return
            self._set(_progress=running("Waiting", 0.0), _current={}, _message="")
            self._background.submit(lambda stopped: self._work(wanted, stopped, settle))

    def _work(self, radii: list[float], stopped: threading.Event, settle: float) -> None:
        """What the thread does."""
        try:
            if not stopped.wait(settle):
                self._measure_all(radii, stopped)
        except Stopped:
            pass
        except Exception as error:
            with self._lock:
                if not stopped.is_set():
                    self._error = error
                    self._message = f"{type(error).__name__}: {error}"
        self._publish(stopped, _progress=idle(), _current={})

    def _measure_all(self, radii: list[float], stopped: threading.Event) -> None:
        network, progress = self._explored, Progress(len(radii), self._at_point is None)

        def report(watch: Watch) -> None:
            now = time.monotonic()
            if watch.done and now - self._reported < _BETWEEN_REPORTS:
                return
            self._reported = now
            self._publish(stopped, _progress=progress.say(watch))

        watch = Watch(stopped, report)
        if self._at_point is None:
            point = network.point(watch)
            self._at_point = point
            self._publish(stopped, _point=describe_point(point))
            progress.begin(None)
        for rho in radii:
            progress.begin(rho)
            for result in network.at(rho, watch):
                self._publish(stopped, _current=describe_radius(result))
            progress.end()
            with self._lock:
                if stopped.is_set():
                    raise Stopped
                self._results[rho] = result
                measured = [describe_radius(each) for each in self.results.values()]
                self._publish(stopped, _measured=measured)

    def _publish(self, stopped: threading.Event, **traits: Any) -> None:
        """Set traits from the thread, unless it is to stop: others may have set them since."""
        with self._lock:
            if not stopped.is_set():
                self._set(**traits)

    def _set(self, **traits: Any) -> None:
        for name, value in traits.items():
            setattr(self, name, value)

    # ── The page ─────────────────────────────────────────────────────────────────────────────────

    @traitlets.observe("rho")
    def _measure_here(self, change: Any) -> None:
        if self._ready:
            self._measure([self.rho])

    def set_state(self, sync_data: Any) -> None:
        """Take what the page sends, while the thread sets nothing."""
        with self._lock:
            self._from_page = True
            try:
                super().set_state(sync_data)
            finally:
                self._from_page = False

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        """The page asks for something; the answer tells it that there is a kernel."""
        wish = content.get("wish") if isinstance(content, dict) else None
        wishes = {
            "hello": lambda: None,
            "measure": lambda: self._measure([self.rho]),
            "sweep": self.sweep,
            "cancel": self.cancel,
        }
        if wish in wishes:
            with self._lock:
                wishes[wish]()
            self.send({"done": wish})

    def _identity(self) -> dict[str, Any]:
        return {**self.state(), "_network": self._network}

    def _page_state(self) -> dict[str, Any]:
        shown = ("_network", "_point", "_measured", "_message")
        return {**self.state(), **{name: getattr(self, name) for name in shown}}

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        what = f"{self._explored.name} with {self._explored.dim:,} parameters"
        nearest = min(self.results, key=lambda rho: abs(math.log(rho / self.rho)), default=None)
        if nearest is None or self._at_point is None:
            failed = f": {self._message}" if self._message else ""
            return f"{what}: nothing is measured yet{failed}."
        return describe_both(what, self._at_point, self._results[nearest])

    def _draw_still(self) -> MatplotlibFigure:
        return draw(self)

    def __repr__(self) -> str:
        count = len(self._results)
        return (
            f"Explore({self._explored.name} with {self._explored.dim} parameters, "
            f"rho={self.rho:g}, {count} {'radius' if count == 1 else 'radii'} measured)"
        )


def _required(data: Data | None) -> Data:
    if data is None:
        raise TypeError(
            "data must be a pair (inputs, targets), or another batch, or give batches, got None"
        )
    return data
