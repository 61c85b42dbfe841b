"""What every interactive figure shares: its traits, its front end and its still."""

from __future__ import annotations

import contextlib
import hashlib
import html
import io
import json
import pathlib
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import anywidget
import traitlets
from matplotlib.figure import Figure as MatplotlibFigure

from samlib._validation import require_text
from samlib.widgets.core.still import png_size
from samlib.widgets.core.traits import OneOf, Real, Reals, Whole, Words

# A letter that stands below the line, as in λ_M.
BELOW = re.compile(r"_([^\W\d_])")

STATIC = pathlib.Path(__file__).parents[1] / "static"


class Figure(anywidget.AnyWidget):
    """Base class of the interactive figures.

    A figure is drawn by one JavaScript module. In a notebook with a kernel it is a widget. On a
    page without one, its HTML placeholder (:meth:`to_html`) carries the state, which the page's
    script brings to life, and inside it a still and a sentence for print and for readers without
    scripts.

    A subclass lists the traits that make up its state in ``state_names``, gives their defaults in
    ``_defaults``, and draws its still.
    What it shows on request is listed in ``panel_names``; the trait ``panels`` says which of it is
    open, and is one of the state where there is any.
    Where one trait (``_preset_by``) picks the defaults of others, ``_presets`` holds them by its
    values. ``_sliders`` holds what a slider covers, for each choice of that trait or for all.
    ``parts`` names the scripts beside the bundle that the figure may ask for.
    """

    _esm = STATIC / "samlib-widgets.esm.js"
    _css = STATIC / "samlib-widgets.css"
    state_names: ClassVar[tuple[str, ...]] = ()
    panel_names: ClassVar[tuple[str, ...]] = ()
    _panel_sizes: ClassVar[Mapping[str, str]] = {}  # of those that are "wide" or "tall"
    parts: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[Mapping[str, Any]] = {}
    _preset_by: ClassVar[str] = ""
    _presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    _sliders: ClassVar[Mapping[str, Any]] = {}
    _following = False  # do traits adapt to one another? Not while they are set together
    # What was set together, while those that follow are told; None where traits are set one by one.
    _together: frozenset[str] | None = None

    _figure = traitlets.Unicode().tag(sync=True)
    _config: Any = traitlets.Dict().tag(sync=True)
    panels: Any = Words("panel_names").tag(sync=True)
    _parts: Any = traitlets.Dict().tag(sync=True)  # the texts of scripts that a page asked for

    def __init__(self, **traits: Any) -> None:
        unknown = set(traits) - set(self.trait_names())
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no trait {', '.join(sorted(unknown))}; "
                f"it has {', '.join(self.state_names)}"
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
        if self.parts:
            self.on_msg(self._send_part)

    def _send_part(self, _: Any, content: Any, buffers: Any) -> None:
        """Give a page in a notebook the script that it asks for; other pages fetch it."""
        name = content.get("part") if isinstance(content, Mapping) else None
        if name in self.parts and name not in self._parts:
            text = (STATIC / f"samlib-{name}.js").read_text("utf8")
            self._parts = {**self._parts, name: text}

    def _checked(self, name: str, value: Any) -> Any:
        """The value as the trait will hold it, if it is one of the figure's state."""
        return self.traits()[name].validate(self, value) if name in self.state_names else value

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
        settable = {*self.state_names, "_view_count"}  # the page counts its views by itself
        before, self._following = self._following, False
        try:
            super().set_state({name: sent[name] for name in sent if name in settable})
        except traitlets.TraitError as error:
            self.log.warning("%s refuses what a page sent: %s", type(self).__name__, error)
            self.send_state(self.state_names)
        finally:
            self._following = before

    def _limits(self) -> dict[str, Any]:
        """What the page may set each trait to, read off the traits themselves."""
        traits = {name: self.traits()[name] for name in self.state_names}
        ranges = (Real, Whole, Reals)
        limits: dict[str, Any] = {
            name: (trait.low, trait.high)
            for name, trait in traits.items()
            if isinstance(trait, ranges)
        }
        choices = {
            name: trait.choices for name, trait in traits.items() if isinstance(trait, OneOf)
        }
        panels = {"panels": self.panel_names} if "panels" in self.state_names else {}
        return {**limits, **choices, **panels}

    def _shipped(self) -> Mapping[str, Any]:
        """Data that the page needs beside the state."""
        return {}

    def state(self) -> dict[str, Any]:
        """The traits that a page needs to draw the figure, by name."""
        return {name: getattr(self, name) for name in self.state_names}

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
        if id is not None:
            require_text("id", id)
        # "<" cannot end the script element when it is written as an escape.
        script = self._as_json(self._page_state()).replace("<", "\\u003c")
        sentence = html.escape(self.sentence())
        said = BELOW.sub(r"\1", sentence)  # where nothing can stand below the line
        caption = BELOW.sub(r"<sub>\1</sub>", sentence)
        png = self.still()
        width, height = png_size(png)
        attributes = "".join(
            f' data-{name}="{html.escape(value)}"' for name, value in self._placeholder().items()
        )
        if self.panels:
            attributes += f' style="{self._room()}"'
        return (
            f'<div class="samlib-figure" data-samlib-widget="{self._figure}" '
            f'id="{html.escape(self._default_id() if id is None else id)}"{attributes}>'
            f'<script type="application/json">{script}</script>\n'
            f'<figure><img src="data:image/png;base64,{b64encode(png).decode()}" '
            f'alt="{said}" width="{width}" height="{height}">'
            f"<figcaption>{caption}</figcaption></figure></div>"
        )

    def _as_json(self, state: Mapping[str, Any]) -> str:
        """The state, with what the figure is and how it is configured."""
        whole = {"_figure": self._figure, "_config": self._config, **state}
        return json.dumps(whole, ensure_ascii=False)

    def _room(self) -> str:
        """How many places the open panels take, of which a wide one has two, and how many rows."""
        sizes = [self._panel_sizes.get(name, "") for name in self.panels if name != "settings"]
        tall = sizes.count("tall")
        return f"--samlib-open: {len(sizes) - tall + sizes.count('wide')}; --samlib-tall: {tall}"

    def _default_id(self) -> str:
        digest = hashlib.sha256(self._as_json(self._identity()).encode()).hexdigest()[:8]
        return f"{self._figure.lower()}-{digest}"

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
