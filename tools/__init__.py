"""Tools: the Python functions that the nodes of a graph call. See docs/tools.md."""

from tools.base import tool
from tools.context import Context
from tools.errors import ToolError
from tools.results import Command, Send

__all__ = ["Command", "Context", "Send", "ToolError", "tool"]
