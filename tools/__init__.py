"""Tools: the Python functions that the nodes of a graph call. See docs/tools.md."""

from tools.base import tool
from tools.context import Context
from tools.errors import ToolError
from tools.parts import Parts
from tools.reducers import reducer
from tools.results import Command, Send

__all__ = ["Command", "Context", "Parts", "Send", "ToolError", "reducer", "tool"]
