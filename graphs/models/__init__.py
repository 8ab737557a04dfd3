from graphs.models.graph import Graph, GraphVersion
from graphs.models.row import Edge, Node

__all__ = ["Edge", "Graph", "GraphVersion", "Node"]
