"""What can go wrong around tools. Each class has a stable `code`; each message is a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One place that is wrong: `path` is a JSON Pointer into the value that was refused."""

    path: str
    code: str
    message: str


class ToolsError(Exception):
    """Base of the errors of this app."""

    code = "tools-error"

    def __init__(self, message: str, *, details: Iterable[Detail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)


class ToolDefinitionInvalid(ToolsError):
    """A function cannot be a tool as it is written. Raised by `@tool`, so when the module is imported."""

    code = "tool-definition-invalid"


class DuplicateTool(ToolsError):
    """Two functions claim the same tool name."""

    code = "tool-duplicate"


class UnknownTool(ToolsError):
    """No tool of this name is registered."""

    code = "tool-unknown"


class ToolInputError(ToolsError):
    """The arguments do not fit the tool's signature; `details` has one entry for each that does not."""

    code = "tool-input-invalid"


class ToolResultError(ToolsError):
    """A `Command` that a tool returned has parts of the wrong type."""

    code = "tool-result-invalid"


class PartInvalid(ToolsError):
    """A part of a tool (`ctx.step`, `ctx.interrupt`) cannot be recorded as it was called."""

    code = "part-invalid"


class ToolError(Exception):
    """For tools to raise: a failure in the tool author's own words, without a traceback for its reader."""
