"""What the popular one-file SAM is called with, and the lines to write here instead."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from samlib._validation import shown

_STEP = """first_step() clears the gradients itself, and zero_grad() comes last. Write
    loss_fn(model(inputs), targets).backward()
    optimizer.first_step()
    loss_fn(model(inputs), targets).backward()
    optimizer.second_step()
    optimizer.zero_grad()"""


def says_what_to_write(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a constructor or a step refuse the arguments of the popular SAM with what to write."""

    @functools.wraps(method)  # and its signature
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if method.__name__ == "__init__":
            _require_made(self, method, args, kwargs)
        elif "zero_grad" in kwargs:
            given = f"{method.__name__}(zero_grad={kwargs['zero_grad']!r})"
            raise TypeError(f"{type(self).__name__}.{given}: {_STEP}")
        return method(self, *args, **kwargs)

    return checked


def _require_made(
    optimizer: Any, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    base = kwargs.get("base_optimizer", args[1] if len(args) > 1 else None)
    is_class = isinstance(base, type) and issubclass(base, Optimizer)
    if not (is_class or "adaptive" in kwargs):
        return
    name = type(optimizer).__name__
    given = {key: value for key, value in kwargs.items() if key not in ("params", "base_optimizer")}
    adaptive = given.pop("adaptive", False)
    taken = inspect.signature(method).parameters
    mine = {"rho": 0.05, **{key: value for key, value in given.items() if key in taken}}
    of_base = {key: value for key, value in given.items() if key not in taken}
    lines = [f"optimizer = {'ASAM' if adaptive else name}({_arguments('base', mine)})"]
    if is_class:
        lines.insert(0, f"base = {_name(base)}({_arguments(None, of_base)})")
    wrong = f"base_optimizer must be an instance, got {shown(base)}"
    said = wrong if is_class else "adaptive=True is an optimizer of its own, ASAM"
    raise TypeError(f"{said}. Instead of {name}(...) write\n    " + "\n    ".join(lines))


def _arguments(base: str | None, settings: dict[str, Any]) -> str:
    named = [f"{key}={shown(value)}" for key, value in settings.items()]
    return ", ".join(["model.parameters()", *([base] if base else []), *named])


def _name(kind: Any) -> str:
    inside = kind.__module__.startswith("torch.optim")
    return f"torch.optim.{kind.__name__}" if inside else kind.__name__
