"""Measures this engine beside LangGraph, in one run on one machine: `make bench`, or `python -m benchmarks --help`.

`scenarios` says what is measured and which targets hold. Each scenario runs in a process of its own on each side:
`benchmarks.ours` with the real driver, server and database, `benchmarks.langgraph_side` in a venv of its own. Both
print one JSON object of figures; `report` takes medians and compares.
"""
