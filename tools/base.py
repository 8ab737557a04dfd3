"""`@tool`: makes a function callable from the nodes of a graph, and leaves the function as it is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, overload

from tools import registry
from tools.errors import ToolDefinitionInvalid
from tools.signature import ToolSignature, read_signature

Effect = Literal["pure", "read", "write"]
Function = TypeVar("Function", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tool(ToolSignature):
    """A registered function and what is known about it."""

    name: str
    description: str
    """The function's docstring."""
    function: Callable[..., Any]
    is_async: bool
    effect: Effect = "write"
    """`pure`: the result depends on the arguments alone; `read`: it looks at the world; `write`: it changes it."""
    retryable: tuple[type[BaseException], ...] | None = None
    """Exceptions after which another attempt makes sense; None means every one."""
    atomic: bool = False
    """The call belongs into the database transaction that commits its own completion."""

    @property
    def takes_context(self) -> bool:
        return any(parameter.kind == "context" for parameter in self.parameters)

    @property
    def module(self) -> str:
        return self.function.__module__

    @property
    def place(self) -> str:
        """Where the function is written, for people."""
        code = inspect.unwrap(self.function).__code__
        return f"{self.module}.{self.function.__qualname__} ({code.co_filename}:{code.co_firstlineno})"


@overload
def tool(function: Function, /) -> Function: ...


@overload
def tool(
    *,
    name: str | None = None,
    effect: Effect = "write",
    retryable: tuple[type[BaseException], ...] | None = None,
    atomic: bool = False,
) -> Callable[[Function], Function]: ...


def tool(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    effect: Effect = "write",
    retryable: tuple[type[BaseException], ...] | None = None,
    atomic: bool = False,
) -> Function | Callable[[Function], Function]:
    """Register a function as a tool; use it bare or with arguments. The function itself is returned unchanged.

    The tool's name is the function's, unless `name` is given. Raises ToolDefinitionInvalid for a function that cannot
    be a tool, DuplicateTool if the name is taken.
    """

    def register(function: Function) -> Function:
        registry.register(_describe(function, name, effect, retryable, atomic))
        return function

    return register if function is None else register(function)


def _describe(
    function: Callable[..., Any],
    name: str | None,
    effect: Effect,
    retryable: tuple[type[BaseException], ...] | None,
    atomic: bool,
) -> Tool:
    if not inspect.isfunction(function):
        raise ToolDefinitionInvalid(f"Only a function can be a tool, but @tool was put on {function!r:.100}.")
    name = function.__name__ if name is None else name
    if not _NAME.fullmatch(name):
        raise ToolDefinitionInvalid(
            f"The tool name {name!r:.100} is not usable: it starts with a letter or _, goes on with letters, digits, "
            "_ . or -, and has at most 64 characters."
        )
    if effect not in get_args(Effect):
        raise ToolDefinitionInvalid(f"The effect {effect!r} of the tool {name!r} is none of pure, read and write.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ToolDefinitionInvalid(f"The tool {name!r} yields; return the result and use ctx.stream on the way.")
    if atomic and inspect.iscoroutinefunction(function):
        raise ToolDefinitionInvalid(f"The tool {name!r} is async; Django's transactions need a plain function.")
    signature = read_signature(function, name)
    return Tool(
        name=name,
        description=inspect.getdoc(function) or "",
        function=function,
        is_async=inspect.iscoroutinefunction(function),
        effect=effect,
        retryable=retryable,
        atomic=atomic,
        parameters=signature.parameters,
        arguments_schema=signature.arguments_schema,
        result_schema=signature.result_schema,
        signature_hash=signature.signature_hash,
    )
