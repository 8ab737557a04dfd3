"""Graphs in the admin: made, edited row by row, published.

A graph is added by its name; that makes an empty draft and opens its page, where nodes and edges are rows. Publishing
says everything that is wrong. What is published is read-only. A draft with too many rows for one form is edited as
JSON, its rows shown beside.
"""

from graphs.admin.graphs import GraphAdmin
from graphs.admin.nodes import NodeAdmin
from graphs.admin.versions import GraphVersionAdmin

__all__ = ["GraphAdmin", "GraphVersionAdmin", "NodeAdmin"]
