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
from collections.abc import Iterable, Iterator, Mapping, Set, Sized
from decimal import Decimal
from itertools import islice
from numbers import Real as AnyReal
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
                f"got {_quoted(value)}"
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
                f"{self.name} must be a whole number from {self.low} to {self.high}, "
                f"got {_quoted(value)}"
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
            raise InvalidTraitError(f"{self.name} must be one of {allowed}, got {_quoted(value)}")
        return self.choices[self.choices.index(value)]  # not NumPy's word, but ours


class Switch(traitlets.TraitType[bool, bool]):
    """True or False, Python's, NumPy's or torch's."""

    default_value = False

    def validate(self, obj: Any, value: Any) -> bool:
        """Return the switch as a bool."""
        switch = _as_scalar(value)
        if not isinstance(switch, bool):
            raise InvalidTraitError(f"{self.name} must be True or False, got {_quoted(value)}")
        return switch


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
        given = _entries(value, self.longest + 1)
        if given is None:
            raise InvalidTraitError(f"{self.name} must be {allowed}; got {_quoted(value)}")
        if not self.shortest <= len(given) <= self.longest:
            many = len(value) if isinstance(value, Sized) else f"{len(given)} or more"
            raise InvalidTraitError(
                f"{self.name} must be {allowed}; got {many} of them: {_quoted(value)}"
            )
        numbers = [_as_float(entry) for entry in given]
        for entry, number in zip(given, numbers, strict=True):
            if number is None or not self.low <= number <= self.high:
                raise InvalidTraitError(
                    f"{self.name} must be {allowed}; got {_quoted(entry)} in it"
                )
        return tuple(number for number in numbers if number is not None)


def _as_scalar(value: Any) -> Any:
    """What Python calls the number that ``value`` is, if it is NumPy's or torch's."""
    if getattr(value, "shape", None) != () or not callable(getattr(value, "item", None)):
        return value
    try:
        return value.item()
    except (TypeError, ValueError, RuntimeError):  # a tensor without data, for one
        return value


def _as_float(value: Any) -> float | None:
    """The finite number that ``value`` is (Python's, NumPy's or torch's), or None."""
    scalar = _as_scalar(value)
    if isinstance(scalar, bool) or not isinstance(scalar, (AnyReal, Decimal)):
        return None
    try:
        number = float(scalar)
    except (TypeError, ValueError, OverflowError):
        return None
    return number + 0.0 if math.isfinite(number) else None  # −0 becomes 0


def _entries(value: Any, most: int) -> list[Any] | None:
    """The first entries of what has an order and is no text, or None."""
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping, Set)):
        return None
    try:
        return list(islice(value, most))
    except (TypeError, ValueError, RuntimeError):  # a tensor without dimensions, for one
        return None


def _quoted(value: Any, most: int = 120) -> str:
    """What a message says of a value: the beginning, if it is long."""
    try:
        text = repr(value)
    except Exception:  # an int of thousands of digits has no text, and anything may fail
        text = f"one of type {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}…"


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
    _following = False  # do traits adapt to one another? Not while they are set together
    # What was set together, while those that follow are told; None where traits are set one by one.
    _together: frozenset[str] | None = None

    _figure = traitlets.Unicode().tag(sync=True)
    _config: Any = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        unknown = set(traits) - set(self.trait_names())
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no trait {', '.join(sorted(unknown))}; "
                f"it has {', '.join(self._state_names)}"
            )
        # Before defaults are made of them, so that a message names the trait that was given.
        traits = {name: self._checked(name, value) for name, value in traits.items()}
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

    def _checked(self, name: str, value: Any) -> Any:
        """The value as the trait will hold it, if it is one of the figure's state."""
        return self.traits()[name].validate(self, value) if name in self._state_names else value

    def _preset(self, choice: str, traits: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults that go with a choice; ``traits`` are those that are given beside it."""
        return dict(self._presets[choice])

    @contextlib.contextmanager
    def hold_trait_notifications(self) -> Iterator[None]:
        """Bundle changes: all of them or, if one is refused or anything else goes wrong, none.

        What changes together with the choice of defaults stays as it was set.
        """
        if self._cross_validation_lock:  # part of a bundle
            yield
            return
        before = self.state()
        try:
            with super().hold_trait_notifications():
                try:
                    yield
                    self._complete(before)
                except BaseException:
                    self._together = frozenset(before)  # as if nothing had been set
                    for name, value in before.items():
                        self.set_trait(name, value)
                    raise
        finally:
            self._together = None

    def _complete(self, before: Mapping[str, Any]) -> None:
        """Add a new choice's defaults to what was set together, or check that it is complete."""
        after = self.state()
        if not self._following:
            for name, value in after.items():
                self.traits()[name]._cross_validate(self, value)
            return
        given = {name: after[name] for name in after if after[name] != before[name]}
        if self._preset_by in given:
            for name, value in self._preset(given[self._preset_by], given).items():
                if name not in given:
                    setattr(self, name, value)
                    given[name] = value
        self._together = frozenset(given)

    def _take_preset(self, change: Any) -> None:
        if self._following and self._together is None:
            with self.hold_trait_notifications():
                for name, value in self._preset(change["new"], {}).items():
                    setattr(self, name, value)

    def set_state(self, sync_data: Any) -> None:
        """Take what a page sends, all or nothing; it is complete, so that nothing needs to follow.

        A page may set the traits of the state. What cannot be is logged, and answered by the state
        as it is, so that page and figure agree again.
        """
        sent = sync_data if isinstance(sync_data, Mapping) else {}
        settable = {*self._state_names, "_view_count"}  # the page counts its views by itself
        before, self._following = self._following, False
        try:
            super().set_state({name: sent[name] for name in sent if name in settable})
        except traitlets.TraitError as error:
            self.log.warning("%s refuses what a page sent: %s", type(self).__name__, error)
            self.send_state(self._state_names)
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
            traits = {**traits, "frame": traits.get("frame", traits["steps"])}
        super().__init__(**traits)

    @traitlets.validate("frame")
    def _frame_fits(self, proposal: Any) -> int:
        frame: int = proposal["value"]
        if frame > self.steps:
            raise InvalidTraitError(f"frame must be from 0 to steps = {self.steps}, got {frame}")
        return frame

    @traitlets.observe("steps")
    def _keep_frame_inside(self, change: Any) -> None:
        if self._following and "frame" not in (self._together or ()):
            last = self.frame == change["old"]
            self.frame = change["new"] if last else min(self.frame, change["new"])


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, read from a PNG's header."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
