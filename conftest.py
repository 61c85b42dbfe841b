"""How all tests are run: what may be left out, what stays in one process, how long it may take."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chapters import unchanged

# Tests that drive a browser, at a time: with more of them, each waits past its patience.
BROWSERS = 2

UNCHANGED = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make test`."""
    parser.addoption(
        "--quick",
        action="store_true",
        help="leave out tests marked slow, and chapters that passed as they are",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let all that the tests start be interrupted, and find the chapters that may be left out.

    A job in the background ignores SIGINT, and so does what it starts: tests that interrupt
    something would wait for it in vain.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not config.getoption("--quick"):
        config.stash[UNCHANGED] = []
    elif hasattr(config, "workerinput"):
        config.stash[UNCHANGED] = config.workerinput["unchanged"]
    else:
        chapters = sorted((config.rootpath / "chapters").glob("*.ipynb"))
        config.stash[UNCHANGED] = [c.stem for c in chapters if unchanged.passed_as_it_is(c)]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell the processes which chapters are left out: they must agree, whenever they start."""
    node.workerinput["unchanged"] = node.config.stash[UNCHANGED]


def unit(item: pytest.Item) -> tuple[int, str | None]:
    """Return when an item's turn comes, and the group of items that it shares a process with.

    The longest come first, so that all processes have work to the end: notebooks, whose cells need
    each other; what has a group already; the files of other tests. Pages and figures come last, one
    test at a time.
    """
    if item.path.suffix == ".ipynb":
        return 0, item.path.name
    if item.get_closest_marker("xdist_group"):
        return 1, None
    if item.path.parent.name in ("site", "widgets"):
        return 3, None
    return 2, item.path.name


def is_left_out(item: pytest.Item) -> bool:
    """Return whether an item is not needed for a quick answer."""
    if item.path.suffix == ".ipynb":
        return item.path.stem in item.config.stash[UNCHANGED]
    return item.get_closest_marker("slow") is not None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the items in order and in groups, and leave out what the option says."""
    if config.getoption("--quick"):
        config.hook.pytest_deselected(items=[item for item in items if is_left_out(item)])
        items[:] = [item for item in items if not is_left_out(item)]
    if config.getoption("loadgroup", default=False):  # in a process that xdist has started
        for item in items:
            if group := unit(item)[1]:
                item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: unit(item)[0])


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the clock of its limit runs
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """Let a test that drives a browser wait for its turn, where processes run side by side."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None or "browser" not in getattr(item, "fixturenames", ()):
        return (yield)
    turn = item.config.cache.mkdir("browsers") / str(int(worker.removeprefix("gw")) % BROWSERS)
    with turn.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return (yield)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was left out."""
    if config.getoption("--quick"):
        chapters = ", ".join(config.stash[UNCHANGED]) or "none"
        terminalreporter.write_line(
            f"Left out: tests marked slow; chapters that passed as they are: {chapters}. "
            "`make test-all` runs everything."
        )
