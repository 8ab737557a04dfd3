"""A graph in words."""

from __future__ import annotations

from graphs.outline import OutlineNode, outline_of
from graphs.spec import parse_definition


def test_nodes_come_as_a_reader_meets_them_with_what_they_do_and_where_they_lead() -> None:
    spec = parse_definition(
        {
            "name": "mapped",
            "start_node": "split",
            "nodes": {
                "alone": {"next": "end"},
                "gather": {"human": {"title": "Check"}, "next": "wait"},
                "split": {"tool": "lines", "next": {"map": "= items", "to": "work", "join": "gather"}},
                "wait": {"wait": {"seconds": 1}, "next": {"condition": "ok", "if_true": "end", "if_false": "split"}},
                "work": {"graph": "child", "next": "gather"},
            },
        }
    )
    assert outline_of(spec) == [
        OutlineNode(name="split", does="tool lines", leads_to=("work", "gather")),
        OutlineNode(name="work", does="graph child", leads_to=("gather",)),
        OutlineNode(name="gather", does="asks people", leads_to=("wait",)),
        OutlineNode(name="wait", does="waits", leads_to=("end", "split")),
        OutlineNode(name="alone", does="routing", leads_to=("end",)),
    ]
