"""The peer's side: the same work in LangGraph with its checkpointers as they ship.

`SqliteSaver` keeps a file in WAL mode with `synchronous=FULL`. `PostgresSaver`, used where DATABASE_URL names a server,
has one connection in autocommit mode from its own `from_conn_string`. Nodes are plain functions and graphs are called
with `invoke`, the faster way for short steps; where waiting matters, `ainvoke` too. `max_concurrency` is not set.

Runs in the venv of `requirements-peers.txt`.
"""
