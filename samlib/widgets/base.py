"""What every interactive figure shares: its traits' types, its front end and its still."""

from __future__ import annotations

import contextlib
import hashlib
import html
import io
import json
import math
import pathlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import anywidget
import traitlets
from matplotlib.figure import Figure as MatplotlibFigure

from samlib._validation import require_text

STATIC = pathlib.Path(__file__).parent / "static"


class InvalidTraitError(traitlets.TraitError, ValueError):
    """A trait was given a value it cannot have: a ``ValueError``, as elsewhere in samlib."""


class Real(traitlets.TraitType[float, float]):
    """A finite number from ``low`` to ``high``."""

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        self.low, self.high = low, high
        super().__init__(low, **kwargs)

    def validate(self, obj: Any, value: Any) -> float:
        """Return the number as a float."""
        number = _as_float(value)
        if number is None or not self.low <= number <= self.high:
            raise InvalidTraitError(
                f"{self.name} must be a finite number from {self.low:g} to {self.high:g}, "
                f"got {value!r}"
            )
        return number


class Whole(traitlets.TraitType[int, int]):
    """A whole number from ``low`` to ``high``."""

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        self.low, self.high = low, high
        super().__init__(low, **kwargs)

    def validate(self, obj: Any, value: Any) -> int:
        """Return the number as an int."""
        number = _as_float(value)
        if number is None or number != int(number) or not self.low <= number <= self.high:
            raise InvalidTraitError(
                f"{self.name} must be a whole number from {self.low} to {self.high}, got {value!r}"
            )
        return int(number)


class OneOf(traitlets.TraitType[str, str]):
    """One of the words ``choices``."""

    def __init__(self, choices: tuple[str, ...], **kwargs: Any) -> None:
        self.choices = choices
        super().__init__(choices[0], **kwargs)

    def validate(self, obj: Any, value: Any) -> str:
        """Return the word."""
        if not isinstance(value, str) or value not in self.choices:
            allowed = ", ".join(map(repr, self.choices))
            raise InvalidTraitError(f"{self.name} must be one of {allowed}, got {value!r}")
        return value


class Reals(traitlets.TraitType[tuple[float, ...], Iterable[float]]):
    """Between ``shortest`` and ``longest`` finite numbers, each from ``low`` to ``high``."""

    def __init__(self, low: float, high: float, shortest: int, longest: int, **kwargs: Any) -> None:
        self.low, self.high = low, high
        self.shortest, self.longest = shortest, longest
        super().__init__((low,) * shortest, **kwargs)

    def validate(self, obj: Any, value: Any) -> tuple[float, ...]:
        """Return the numbers as a tuple of floats."""
        count = str(self.shortest)
        if self.longest != self.shortest:
            count += f" to {self.longest}"
        allowed = f"{count} finite numbers, each from {self.low:g} to {self.high:g}"
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InvalidTraitError(f"{self.name} must be {allowed}; got {value!r}")
        given = list(value)
        numbers = [_as_float(entry) for entry in given]
        if not self.shortest <= len(given) <= self.longest:
            raise InvalidTraitError(
                f"{self.name} must be {allowed}; got {len(given)} of them: {value!r}"
            )
        for entry, number in zip(given, numbers, strict=True):
            if number is None or not self.low <= number <= self.high:
                raise InvalidTraitError(f"{self.name} must be {allowed}; got {entry!r} in it")
        return tuple(number for number in numbers if number is not None)


def _as_float(value: Any) -> float | None:
    """The finite number that ``value`` is (Python's, NumPy's or torch's), or None."""
    if isinstance(value, (bool, str, bytes)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


class Figure(anywidget.AnyWidget):
    """Base class of the interactive figures.

    A figure is drawn by one JavaScript module. In a notebook with a kernel it is a widget. On a
    page without one, its HTML placeholder (:meth:`to_html`) carries the state, which the page's
    script brings to life, and inside it a still and a sentence for print and for readers without
    scripts.

    A subclass lists the traits that make up its state in ``_state_names``, gives their defaults in
    ``_defaults``, and draws its still.
    Where one trait (``_preset_by``) picks the defaults of others, ``_presets`` holds them by its
    values. ``_sliders`` holds what a slider covers, for each choice of that trait or for all.
    """

    _esm = STATIC / "samlib-widgets.esm.js"
    _css = STATIC / "samlib-widgets.css"
    _state_names: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[Mapping[str, Any]] = {}
    _preset_by: ClassVar[str] = ""
    _presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    _sliders: ClassVar[Mapping[str, Any]] = {}
    _preset_taken = False  # are the defaults that go with a new choice set already?
    _following = False  # do traits adapt to one another? Not while they are set together

    _figure = traitlets.Unicode().tag(sync=True)
    _config: Any = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        unknown = set(traits) - set(self.trait_names())
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no trait {', '.join(sorted(unknown))}; "
                f"it has {', '.join(self._state_names)}"
            )
        if self._preset_by:
            trait = self.traits()[self._preset_by]
            choice = traits.get(self._preset_by, trait.default())
            traits = {**self._preset(choice, traits), self._preset_by: choice, **traits}
        config = {"presets": self._presets, "sliders": self._sliders, "limits": self._limits()}
        config.update(self._shipped())
        super().__init__(_config=config, **{**self._defaults, **traits})
        if self._preset_by:
            self.observe(self._take_preset, names=[self._preset_by])
        self._following = True

    def _preset(self, choice: Any, traits: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults that go with a choice; ``traits`` are those that are given beside it."""
        known = isinstance(choice, str) and choice in self._presets
        return dict(self._presets[choice]) if known else {}

    @contextlib.contextmanager
    def hold_trait_notifications(self) -> Iterator[None]:
        """Bundle changes. What changes together with the choice of defaults stays as it was set."""
        if not self._following or self._cross_validation_lock:
            with super().hold_trait_notifications():
                yield
            return
        before = self.state()
        try:
            with super().hold_trait_notifications():
                yield
                after = self.state()
                given = {name: after[name] for name in after if after[name] != before[name]}
                if self._preset_by in given:
                    for name, value in self._preset(given[self._preset_by], given).items():
                        if name not in given:
                            setattr(self, name, value)
                    self._preset_taken = True
        finally:
            self._preset_taken = False

    def _take_preset(self, change: Any) -> None:
        if self._following and not self._preset_taken:
            with self.hold_trait_notifications():
                for name, value in self._preset(change["new"], {}).items():
                    setattr(self, name, value)

    def set_state(self, sync_data: Any) -> None:
        """Take what the page sends; it is complete, so that nothing needs to follow."""
        before, self._following = self._following, False
        try:
            super().set_state(sync_data)
        finally:
            self._following = before

    def _limits(self) -> dict[str, Any]:
        """What the page may set each trait to, read off the traits themselves."""
        traits = {name: self.traits()[name] for name in self._state_names}
        ranges = (Real, Whole, Reals)
        limits: dict[str, Any] = {
            name: (trait.low, trait.high)
            for name, trait in traits.items()
            if isinstance(trait, ranges)
        }
        choices = {
            name: trait.choices for name, trait in traits.items() if isinstance(trait, OneOf)
        }
        return {**limits, **choices}

    def _shipped(self) -> Mapping[str, Any]:
        """Data that the page needs beside the state."""
        return {}

    def state(self) -> dict[str, Any]:
        """The traits that a page needs to draw the figure, by name."""
        return {name: getattr(self, name) for name in self._state_names}

    def still(self) -> bytes:
        """A PNG of the figure, drawn by matplotlib from samlib's own numbers."""
        buffer = io.BytesIO()
        # Without the version of matplotlib in the file.
        self._draw_still().savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    def _draw_still(self) -> MatplotlibFigure:
        raise NotImplementedError

    def sentence(self) -> str:
        """What the still shows, in one sentence."""
        raise NotImplementedError

    def to_html(self, id: str | None = None) -> str:
        """The placeholder of the figure on a page without a kernel.

        Parameters
        ----------
        id
            The element's id, which permalinks name. By default it is made from the state, so that
            two figures of a page differ and one figure keeps its id from run to run.

        Returns
        -------
        str
            An element with the attribute ``data-samlib-widget``. All but the still's base64 is the
            same on every machine.
        """
        state = json.dumps(
            {"_figure": self._figure, "_config": self._config, **self._page_state()},
            ensure_ascii=False,
        )
        if id is not None:
            require_text("id", id)
        else:
            named = {"_figure": self._figure, "_config": self._config, **self._identity()}
            text = json.dumps(named, ensure_ascii=False)
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
            id = f"{self._figure.lower()}-{digest}"
        sentence = html.escape(self.sentence())
        png = self.still()
        width, height = png_size(png)
        attributes = "".join(
            f' data-{name}="{html.escape(value)}"' for name, value in self._placeholder().items()
        )
        # "<" cannot end the script element when it is written as an escape.
        script = state.replace("<", "\\u003c")
        return (
            f'<div class="samlib-figure" data-samlib-widget="{self._figure}" '
            f'id="{html.escape(id)}"{attributes}>'
            f'<script type="application/json">{script}</script>\n'
            f'<figure><img src="data:image/png;base64,{b64encode(png).decode()}" '
            f'alt="{sentence}" width="{width}" height="{height}">'
            f"<figcaption>{sentence}</figcaption></figure></div>"
        )

    def _identity(self) -> dict[str, Any]:
        """What tells two figures of a page apart, and is the same on every machine."""
        return self.state()

    def _page_state(self) -> dict[str, Any]:
        """What a page without a kernel is given: the state, and results that it cannot compute."""
        return self.state()

    def _placeholder(self) -> Mapping[str, str]:
        """Attributes by which the style sheet reserves the live figure's height."""
        return {}

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        assert bundle is not None  # only a widget without a view has none
        data, metadata = bundle
        return {**data, "text/html": self.to_html()}, metadata

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.state().items())
        return f"{type(self).__name__}({values})"


class FigureOverTime(Figure):
    """A figure of runs of so many steps, of which one is shown.

    The step shown stays inside the run; where it is the last one, it stays the last one.
    """

    steps: Any = Whole(1, 200_000).tag(sync=True)
    frame: Any = Whole(0, 200_000).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        if "steps" in traits and not self._preset_by:  # the last step, unless told otherwise
            traits = {"frame": traits["steps"], **traits}
        super().__init__(**traits)

    @traitlets.validate("frame")
    def _frame_fits(self, proposal: Any) -> int:
        frame: int = proposal["value"]
        if frame > self.steps:
            raise InvalidTraitError(f"frame must be from 0 to steps = {self.steps}, got {frame}")
        return frame

    @traitlets.observe("steps")
    def _keep_frame_inside(self, change: Any) -> None:
        if self._following:
            last = self.frame == change["old"]
            self.frame = change["new"] if last else min(self.frame, change["new"])


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, read from a PNG's header."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
