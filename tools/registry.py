"""The tools of this process, by name.

`@tool` registers a function when its module is imported. Which modules are imported is decided elsewhere
(`tools.discovery`) and happens once, when somebody first asks for a tool. A module that cannot be imported is a
problem that is kept and shown; the others go on.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tools.errors import DuplicateTool, UnknownTool

if TYPE_CHECKING:
    from tools.base import Tool

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleProblem:
    """A module of tools that could not be imported."""

    module: str
    message: str


class Registry:
    """Tools by name, filled from modules when it is first asked."""

    def __init__(self, modules: Callable[[], Iterable[str]] = tuple) -> None:
        self.modules = modules
        self._tools: dict[str, Tool] = {}
        self._problems: list[ModuleProblem] = []
        self._discovering = self._discovered = False
        self._lock = threading.RLock()

    def register(self, tool: Tool) -> None:
        """Add a tool. The same function again (a module that is reloaded) replaces itself; raises DuplicateTool."""
        known = self._tools.get(tool.name)
        if known is not None and known.place != tool.place:
            raise DuplicateTool(
                f"Two functions want to be the tool {tool.name!r}: {known.place} and {tool.place}. "
                "Rename one of them, or give it another name with @tool(name=…)."
            )
        self._tools[tool.name] = tool

    def get(self, name: str) -> Tool:
        """Return a tool; raises UnknownTool."""
        self.discover()
        if name not in self._tools:
            raise UnknownTool(self._unknown(name))
        return self._tools[name]

    def all(self) -> list[Tool]:
        """Return every tool, sorted by name."""
        self.discover()
        return [tool for _, tool in sorted(self._tools.items())]

    def tool_of(self, function: Callable[..., object]) -> Tool | None:
        """Return the tool that a function was registered as, if it was; imports nothing."""
        return next((tool for tool in self._tools.values() if tool.function is function), None)

    def problems(self) -> list[ModuleProblem]:
        """Return what went wrong with modules of tools."""
        self.discover()
        return list(self._problems)

    def discover(self) -> None:
        """Import the modules of tools, the first time only."""
        if self._discovered:
            return
        with self._lock:
            # A module that asks for a tool while it is imported here comes by again, and gets what is there so far.
            if self._discovering:
                return
            self._discovering = True
            for module in self.modules():
                self._load(module)
            self._discovered = True

    def copy(self) -> Registry:
        """Return a registry with the same tools, to change in a test."""
        self.discover()
        copy = Registry()
        copy._tools = dict(self._tools)
        return copy

    def _load(self, module: str) -> None:
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            logger.exception("Cannot import the module of tools %s.", module)
            self._tools = {name: tool for name, tool in self._tools.items() if tool.module != module}
            message = f"The module of tools {module} cannot be imported: {type(error).__name__}: {error}"
            self._problems.append(ModuleProblem(module=module, message=message))

    def _unknown(self, name: str) -> str:
        matches = get_close_matches(name, self._tools, n=3)
        hint = f" Did you mean {' or '.join(map(repr, matches))}?" if matches else ""
        broken = ", ".join(problem.module for problem in self._problems)
        cause = f" It may be in a module that could not be imported: {broken}." if broken else ""
        return f"There is no tool {name!r:.100}.{hint}{cause}"


_current = Registry()


def find_in(modules: Callable[[], Iterable[str]]) -> None:
    """Say which modules hold tools. They are imported when the first tool is asked for."""
    _current.modules = modules


def register(tool: Tool) -> None:
    """Add a tool to the registry of this process; raises DuplicateTool."""
    _current.register(tool)


def get(name: str) -> Tool:
    """Return a tool of this process; raises UnknownTool."""
    return _current.get(name)


def all() -> list[Tool]:
    """Return every tool of this process, sorted by name."""
    return _current.all()


def tool_of(function: Callable[..., object]) -> Tool | None:
    """Return the tool that a function was registered as, if it was; imports nothing."""
    return _current.tool_of(function)


def problems() -> list[ModuleProblem]:
    """Return what went wrong with modules of tools."""
    return _current.problems()


def discover() -> None:
    """Import the modules of tools now, so that the first step need not wait for them."""
    _current.discover()


@contextmanager
def scratch() -> Iterator[Registry]:
    """Within the block, tools are registered in a copy of the registry that is thrown away at its end: for tests."""
    global _current
    kept, _current = _current, _current.copy()
    try:
        yield _current
    finally:
        _current = kept
