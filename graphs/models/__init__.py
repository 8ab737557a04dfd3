from graphs.models.graph import Graph, GraphVersion

__all__ = ["Graph", "GraphVersion"]
