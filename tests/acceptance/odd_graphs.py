"""Graphs that are odd and valid: loops at joins, joins in items in subgraphs, names and values at the edge."""

from __future__ import annotations

from typing import Any

from tests.acceptance.cases import LOG, QUIET, Case, do, graph, if_, may, over, reducing

Json = Any
BRANCHES = [f"b{n}" for n in range(200)]
DEPTH = 16


def nested(depth: int) -> dict[str, Json]:
    """Maps in maps: d0 ══► d1 ══► … ══► the innermost, each over one item but the first two."""
    nodes: dict[str, Json] = {f"d{depth}": {"outputs": {"v": "= index"}, "next": f"e{depth - 1}"}}
    for n in range(depth):
        items = [1, 2] if n < 2 else [1]
        nodes[f"d{n}"] = {"next": over(items, f"d{n + 1}", f"e{n}", collect={"v": "= v"})}
        nodes[f"e{n}"] = {"next": f"e{n - 1}" if n else "end"}
    return {"d0": nodes.pop("d0"), **nodes}


def innermost(value: Json, depth: int) -> Json:
    for _ in range(depth):
        value = [value]
    return value


SELF = graph(
    {
        "x": {"next": if_("n > 0", "y")},
        "y": {"graph": "itself", "inputs": {"n": "= n - 1"}, "outputs": {"d": "= default(result.d, 0) + 1"}},
    },
    state={},
)

JOINS = {
    "a node that leads to itself": Case(
        nodes={"s": do(if_("n < 4", "s"), update={"n": "= n + 1"})}, given={"n": 0}, ends={"n": 4}
    ),
    "a join that leads to itself": Case(
        nodes={"s": do(if_("n < 4", "s"), join="all", update={"n": "= n + 1"})}, given={"n": 0}, ends={"n": 4}
    ),
    "a join that forks to itself": Case(
        nodes={"s": do(if_("n < 3", ["s", "s"]), join="all", update={"n": "= n + 1"})}, given={"n": 0}, ends={"n": 3}
    ),
    "two joins that lead to each other": Case(
        nodes={
            "s": {"next": ["j1", "j2"]},
            "j1": do(if_("len(log) > 2", "end", "j2"), join="all"),
            "j2": do("j1", join="all"),
        },
        ends={"log": ["j1", "j2", "j1"]},
    ),
    "a join in a loop waits for a straggler once": Case(
        nodes={
            "s": do(["j", "b"]),
            "b": {"wait": {"seconds": 0.05}, "next": "j"},
            "j": do("c", join="all"),
            "c": do(if_("len(log) > 6", "end", "j")),
        },
        ends={"log": ["s", "j", "c", "j", "c", "j", "c"]},
    ),
    "an any join in a loop cancels the loser of each turn": Case(
        nodes={
            "s": do(["a", "b"]),
            "a": do("j"),
            "b": {"wait": {"seconds": 600}, "next": "j"},
            "j": do(if_("n < 3", "s"), join="any", update={"n": "= n + 1"}),
        },
        given={"n": 0},
        ends={"n": 3, "log": ["s", "a", "j"] * 3},
    ),
    "a join of all that are counted in a loop in an item": Case(
        nodes={
            "f": {"next": over("= items", "st", "z", collect={"out": "= got"})},
            "st": {"next": ["p", "q", "r"]},
            **{name: do("k", update={"log": None, "got": "= it"}) for name in "pqr"},
            "k": {"join": {"count": 3, "rest": "ignore"}, "next": if_("len(got) < 6", "st", "z")},
            "z": {},
        },
        given={"items": [1, 2]},
        more={"state": reducing(got="append")},
        ends={"out": [[1] * 6, [2] * 6]},
    ),
    "an any join in an item in a subgraph": Case(
        nodes={"s": {"graph": "racing", "inputs": {"items": [1, 2, 3]}, "outputs": {"out": "= result.out"}}},
        graphs={
            "racing": graph(
                {
                    "f": {"next": over("= items", ["p", "q"], "z", collect={"out": "= w"})},
                    "p": do("k", update={"log": None, "w": "= it"}),
                    "q": {"wait": {"seconds": 600}, "next": "k"},
                    "k": {"join": "any", "next": "z"},
                    "z": {},
                }
            )
        },
        ends={"out": [1, 2, 3]},
    ),
    "a join that counts more than can come": Case(
        nodes={"s": {"next": ["a", "b"]}, "a": do("j"), "b": do("j"), "j": {"join": {"count": 3}}},
        ends={"log": ["a", "b"]},
        errors=[("j", "JoinUnsatisfied")],
    ),
    "a run that starts at a join": Case(nodes={"s": do("a", join="all"), "a": do()}, ends={"log": ["s", "a"]}),
    "one target twice, and the end": Case(
        nodes={"s": {"next": ["a", "a", "end"]}, "a": do("j"), "j": do(join="all")}, ends={"log": ["a", "a", "j"]}
    ),
    "a fork of two hundred": Case(
        nodes={
            "s": {"next": BRANCHES},
            **{name: {"outputs": {"got": n}, "next": "j"} for n, name in enumerate(BRANCHES)},
            "j": {"join": "all"},
        },
        more={"state": reducing(got="append")},
        ends={"got": [*range(200)]},
        deaths=False,
    ),
    "a switch without a default finds no way, which may be handled": Case(
        nodes={"s": {"next": {"switch": [{"when": "false", "to": "a"}]}, "on_error": "h"}, "a": do(), "h": do()},
        ends={"log": ["h"]},
    ),
    "a condition that is neither true nor false": Case(
        nodes={"s": {"next": if_("v", "a")}, "a": do()}, given={"v": None}, ends={}, errors=[("s", "ExpressionError")]
    ),
}

MAPS = {
    "maps over nothing in a map": Case(
        nodes={
            "f": {"next": over("= rows", "g", "z", collect={"out": "= cells"})},
            "g": {"next": over("= it", "h", "y", collect={"cells": "= cell"})},
            "h": {"outputs": {"cell": "= it"}, "next": "y"},
            "y": {"next": "z"},
            "z": {},
        },
        given={"rows": [[], [1], [], [2, None]]},
        ends={"out": [[], [1], [], [2, None]]},
    ),
    "a map over literals": Case(
        nodes={"f": {"next": over([1, True, "x", None, {"n": "= v"}, []], "w", collect={"out": "= it"})}, "w": {}},
        given={"v": 7},
        ends={"out": [1, True, "x", None, {"n": 7}, []]},
    ),
    "a map over what is no list": Case(
        nodes={"f": {"next": over("= v", "w"), "on_error": "h"}, "w": {}, "h": do(update={"why": "= error.message"})},
        given={"v": {"a": 1}},
        ends={"why": 'The map of "f" needs a list of items, not an object.'},
    ),
    "a map whose body is its join": Case(
        nodes={"f": {"next": over([1, 2], "z", "z", collect={"out": "= it"})}, "z": do()},
        ends={"out": [1, 2], "log": ["z"]},
    ),
    "a map whose body is the end": Case(
        nodes={"f": {"next": over([1, 2], "end", "z", collect={"out": "= it * 2"})}, "z": {}}, ends={"out": [2, 4]}
    ),
    "a map in a loop": Case(
        nodes={
            "f": {"next": over("= items", "w", "z", collect={"items": "= out"})},
            "w": {"outputs": {"out": "= it * 2"}, "next": "z"},
            "z": {"next": if_("items[0] < 20", "f")},
        },
        given={"items": [1, 2]},
        ends={"items": [32, 64]},
    ),
    "a loop in each item": Case(
        nodes={
            "f": {"next": over([1, 2, 7], "w", "z", collect={"out": "= n"})},
            "w": {"outputs": {"n": "= n + it"}, "next": if_("n < 10", "w", "z")},
            "z": {},
        },
        given={"n": 0},
        ends={"n": 0, "out": [10, 10, 14]},
    ),
    "an item called as the key that it hides, in an item called so, too": Case(
        nodes={
            "f": {"next": over("= it", "g", "z", collect={"out": "= out"})},
            "g": {"next": over("= it", "h", "y", collect={"out": "= out"})},
            "h": {"outputs": {"out": "= [it, state.it, index]"}, "next": "y"},
            "y": {"next": "z"},
            "z": {},
        },
        given={"it": [[1], [2]]},
        ends={"out": [[[1, [[1], [2]], 0]], [[2, [[1], [2]], 0]]]},
    ),
    "items that send": Case(
        nodes={
            "f": {"next": over([1, 2], "a", "z", collect={"out": "= got"})},
            "a": do(may("c"), send="= [['c', p], ['c', p]]", **QUIET),
            "c": do("z", update={"log": None, "got": "= x + it"}),
            "z": {},
        },
        given={"p": {"x": 1}},
        more={"state": reducing(got="append")},
        ends={"out": [[2, 2], [3, 3]]},
    ),
    "sends to a map": Case(
        nodes={
            "a": do(may("c"), send=[["c", {"l": [1, 2]}], ["c", {"l": [3]}]]),
            "c": {"next": over("= l", "d", "e", collect={"got": "= it"})},
            "d": {},
            "e": {"join": "all"},
        },
        more={"state": reducing(got="append")},
        ends={"got": [[1, 2], [3]]},
    ),
    "as many maps in maps as may be": Case(
        nodes=nested(DEPTH), ends={"v": [[innermost(0, DEPTH - 2)] * 2] * 2}, deaths=False
    ),
    "one map in a map too many": Case(
        nodes=nested(DEPTH + 1),
        ends={},
        errors=[(f"d{DEPTH}", "LimitExceeded"), *((f"d{n}", "MapFailed") for n in range(DEPTH))],
        deaths=False,
    ),
    "a graph that calls itself as deep as may be": Case(
        nodes={"y": {"graph": "itself", "inputs": {"n": DEPTH - 1}, "outputs": {"d": "= result.d"}}},
        graphs={"itself": SELF},
        ends={"d": DEPTH - 1},
        deaths=False,
    ),
    "a graph that calls itself once too often": Case(
        nodes={"y": {"graph": "itself", "inputs": {"n": DEPTH}}},
        graphs={"itself": SELF},
        ends={},
        errors=[("y", "LimitExceeded"), ("y", "SubgraphFailed")],
    ),
    "a graph that is computed": Case(
        nodes={"s": {"graph": "= g", "inputs": {"items": [1, 2]}, "outputs": {"out": "= result.out"}}},
        given={
            "g": graph({"f": {"next": over("= items", "w", collect={"out": "= n"})}, "w": {"outputs": {"n": "= it"}}})
        },
        ends={"out": [1, 2]},
    ),
    "a graph that is computed and none": Case(
        nodes={"s": {"graph": "= g", "on_error": "h"}, "h": do()}, given={"g": {"nodes": 1}}, ends={"log": ["h"]}
    ),
}

ERRORS = {
    "on_error leads back to the step": Case(
        nodes={"a": do(fails="Broken", on_error="a")},
        more={"limits": {"max_iterations": 5}},
        ends={"log": []},
        errors=[("a", "LimitExceeded")],
    ),
    "on_error leads to the join that waits for the step": Case(
        nodes={
            "s": {"next": ["a", "b"]},
            "a": do("x", fails="Broken", on_error="j"),
            "x": do("j"),
            "b": do("j"),
            "j": do(join="all"),
        },
        ends={"log": ["b", "j"]},
    ),
    "on_error forks, and both see the error": Case(
        nodes={
            "a": do("end", fails="Broken", on_error=["h", "i"]),
            "h": do("j", update={"got": "= error.type"}),
            "i": do("j", update={"got": "= error.node"}),
            "j": do(join="all", update={"error_is_there": "= exists(error)"}),
        },
        more={"state": reducing(got="append")},
        ends={"got": ["Broken", "a"], "log": ["h", "i", "j"], "error_is_there": False},
    ),
    "on_error of an item leaves the item": Case(
        nodes={
            "f": {"next": over([1, 2], "w", "z", collect={"out": "= default(out, 'none')"})},
            "w": do("z", fails="Broken", on_error="z"),
            "z": do(),
        },
        ends={"out": ["none", "none"], "log": ["z"]},
    ),
    "on_error at each level, the innermost first": Case(
        nodes={"s": {"graph": "levels", "on_error": "outer"}, "outer": do()},
        graphs={
            "levels": graph(
                {
                    "f": {"next": over(["", "Broken"], "w", "z"), "on_error": "middle"},
                    "w": do("z", fails="= it", on_error=[{"match": "Hiccup", "to": "inner"}]),
                    "inner": do(),
                    "z": do(),
                    "middle": do(fails="Hiccup"),
                }
            )
        },
        ends={"log": ["outer"]},
    ),
    "items that fail by their routes are tolerated": Case(
        nodes={
            "f": {"next": over([1, 2], "w", "z", collect={"out": "= out"}, tolerated_failures="50%")},
            "w": {"next": {"switch": [{"when": "it > 1", "to": "v"}]}},
            "v": {"outputs": {"out": "= it"}, "next": "z"},
            "z": {},
        },
        ends={"out": [None, 2]},
    ),
    "a wait that leads back to itself when nothing comes": Case(
        nodes={"w": {"wait": {"signal": "go", "timeout_s": 600, "on_timeout": "w"}}},
        signals=[("go", {"k": 1})],
        ends={"k": 1},
    ),
    "the first of several times, whatever their order, though all of them are over": Case(
        nodes={
            "w": {
                "wait": {"any": [{"until": f"20{year}-01-01T00:00:00Z"} for year in (19, 11, 15, 11)]},
                "outputs": {"fired": "= result.fired", "at": "= result.at"},
            }
        },
        ends={"fired": 1, "at": "2011-01-01T00:00:00+00:00"},
    ),
    "the first of several times that come at once": Case(
        nodes={
            "w": {
                "wait": {"any": [{"seconds": 9}, *[{"seconds": "= s"}] * 9]},
                "outputs": {"fired": "= result.fired"},
                "next": if_("n > 5", "end", "w2"),
            },
            "w2": {"outputs": {"n": "= n + 1", "all": "= fired"}, "next": "w"},
        },
        given={"s": 0.01, "n": 0},
        more={"state": reducing(all="append")},
        ends={"all": [1] * 6},
    ),
    "the first of two signals of one name": Case(
        nodes={
            "w": {"wait": {"any": [{"signal": "go", "next": "a"}, {"signal": "go"}]}, "next": "b"},
            "a": do(),
            "b": do(),
        },
        signals=[("go", 1)],
        ends={"log": ["a"]},
    ),
}

INNER = graph({"x": {"outputs": {"out": "= given"}}}, state={})
SEEN = {
    "a payload is seen by inputs, outputs, conditions, names and places of what it is sent to": Case(
        nodes={
            "a": do(may("g", "w", "l", "c"), send=[[to, {"x": f"{to}-1"}] for to in "gwlc"]),
            "g": {"graph": "inner", "inputs": {"given": "= x"}, "outputs": {"out": "= [x, result.out]"}, "next": "j"},
            "w": {"wait": {"signal": "= x"}, "outputs": {"out": "= [x, result.payload]"}, "next": "j"},
            "l": {"tool": "noop", "lock": "= x", "outputs": {"out": "= x"}, "next": "j"},
            "c": {"next": if_("x == 'c-1' and state == default(nowhere, state)", "yes")},
            "yes": {"outputs": {"out": "= exists(x)"}, "next": "j"},
            "j": {"join": "all"},
        },
        graphs={"inner": INNER},
        signals=[("w-1", "came")],
        more={"state": {"reducers": {"out": "append"}}},
        ends={"out": [["g-1", "g-1"], ["w-1", "came"], "l-1", False]},
    ),
    "an error is seen by conditions, maps and graphs of its handler": Case(
        nodes={
            "s": {"next": ["a", "b", "c"]},
            "a": do(fails="Broken", on_error="ha"),
            "ha": {"next": {"switch": [{"when": "error.type == 'Broken'", "to": "yes"}]}},
            "yes": {"outputs": {"out": "yes"}},
            "b": do(fails="Hiccup", on_error="hb"),
            "hb": {"next": over("= [error.type, error.node]", "w", collect={"out": "= it"})},
            "w": {},
            "c": do(fails="Broken", on_error="hc"),
            "hc": {"graph": "inner", "inputs": {"given": "= error.node"}, "outputs": {"out": "= result.out"}},
        },
        graphs={"inner": INNER},
        more={"state": reducing(out="append")},
        ends={"out": ["yes", ["Hiccup", "b"], "c"], "log": []},
    ),
    "an item is seen by all that is in it": Case(
        nodes={
            "f": {"next": over(["p", "q"], ["g", "w", "e"], "z", collect={"out": "= out"})},
            "g": {"graph": "inner", "inputs": {"given": "= it"}, "outputs": {"out": "= result.out"}, "next": "k"},
            "w": {"wait": {"signal": "= it"}, "outputs": {"out": "= [index, it]"}, "next": "k"},
            "e": do("k", fails="Broken", on_error="h"),
            "h": {"outputs": {"out": "= [error.type, it, index]"}, "next": if_("it == 'q'", "m", "k")},
            "m": {"next": over("= [it, it]", "n", "k", collect={"out": "= it"})},
            "n": {"next": "k"},
            "k": {"join": "all", "next": "z"},
            "z": {},
        },
        graphs={"inner": INNER},
        signals=[("q", 1), ("p", 2)],
        more={"state": {"reducers": {"out": "append"}}},
        ends={
            "out": [
                [
                    ["p", [0, "p"], ["Broken", "p", 0]],
                    ["q", [1, "q"], ["Broken", "q", 1], ["q", "q"]],
                ]
            ]
        },
    ),
    "a run whose time is over": Case(
        nodes={"w": {"wait": {"signal": "never"}}},
        more={"limits": {"timeout_s": 0.1}},
        ends={},
        errors=[("w", "RunTimedOut")],
        deaths=False,
    ),
    "an item that waits keeps the next one out, and its own siblings go on": Case(
        nodes={
            "f": {"next": over([1, 2], ["w", "x"], "z", collect={"out": "= it"}, max_parallel=1)},
            "w": {"wait": {"signal": "go"}, "outputs": {}},
            "x": {},
            "z": {},
        },
        signals=[("go", None)],
        ends={"out": "nothing"},
        waits_at=["f[1].w"],
    ),
}

ODD_KEYS = [
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "x" * 255,
    "a b",
    "ключ",
    "名前",
    "🙂",
    "a.b",
    "0",
]
NUMBERS: list[Json] = [2**63 - 1, -(2**63), 2**53 + 1, 1e308, -1e308, 5e-324, -0.0, 0.1 + 0.2, 1.0]
VALUES = {
    "keys that other languages mistake for their own": Case(
        nodes={
            "a": {"outputs": {key: n for n, key in enumerate(ODD_KEYS)}, "next": "b"},
            "b": {"outputs": {"seen": [f"= state[{key!r}]" for key in ODD_KEYS], "word": "= ключ + constructor"}},
        },
        more={"state": {}},
        ends={"seen": [*range(len(ODD_KEYS))], "word": 7},
    ),
    "keys called as what expressions have": Case(
        nodes={
            "a": {
                "outputs": {
                    "len": [1, 2],
                    "max": 3,
                    "sum": 4,
                    "default": 5,
                    "state": 6,
                    "result": 7,
                    "index": 8,
                    "error": 9,
                },
                "next": "b",
            },
            "b": {
                "outputs": {
                    "r": "= [len(len), max(max, sum), default(default, 0)]",
                    "s": "= state.state + state.result + state.index + state.error",
                }
            },
        },
        more={"state": {}},
        ends={"r": [2, 4, 5], "s": 30},
    ),
    "numbers at the edges": Case(
        nodes={"a": {"outputs": {"to": "= given", "same": "= given == literal", "literal": NUMBERS}}},
        given={"given": NUMBERS, "literal": NUMBERS},
        ends={"to": NUMBERS, "literal": NUMBERS, "same": True},
    ),
    "whole numbers past 64 bits, which an expression may only count with": Case(
        nodes={
            "a": {"outputs": {"near": "= n * n // n"}, "next": "b"},
            "b": {"outputs": {"far": "= n + 1"}, "on_error": [{"match": "UpdateInvalid", "to": "f"}]},
            "f": {"next": over([0, 1], "w", collect={"out": "= n + it"}, tolerated_failures=1)},
            "w": {},
        },
        given={"n": 2**63 - 1},
        ends={"near": 2**63 - 1, "far": "nothing", "out": [2**63 - 1, None]},
    ),
    "nothing but null": Case(
        nodes={
            "a": {
                "outputs": {"n": None, "l": [None], "o": {"k": None}},
                "next": {"switch": [{"when": "n == null and l[0] is null and o.k == null", "to": "b"}]},
            },
            "b": {"next": over("= l", "c", collect={"r": "= it"})},
            "c": {"wait": {"signal": "nothing"}},
        },
        given={"z": None},
        more={"state": {"defaults": {"z": 1}}},
        signals=[("nothing", None)],
        ends={"z": None, "r": [None]},
    ),
    "a text of a million letters": Case(
        nodes={
            "a": {"outputs": {"n": "= len(text)", "copy": "= text"}, "next": "b"},
            "b": do(update={"same": "= copy == text"}),
        },
        given={"text": "é" * 1_000_000},
        ends={"n": 1_000_000, "same": True},
        deaths=False,
    ),
    "a signal whose name is any text": Case(
        nodes={"w": {"wait": {"signal": "= n"}, "outputs": {"p": "= result.payload"}}},
        given={"n": "заказ 7 ✓ = x"},
        signals=[("заказ 7 ✓ = x", "🙂")],
        ends={"p": "🙂"},
    ),
    "a text that looks like an expression": Case(
        nodes={"a": do(update={"v": "==1 + 1", "deep": [{"k": "== x"}]})}, ends={"v": "=1 + 1", "deep": [{"k": "= x"}]}
    ),
    "an append of null, and a reducer's key that begins as null": Case(
        nodes={
            "a": do(update={"n": None}),
        },
        more={"state": {"reducers": {"log": "append", "n": "append"}, "defaults": {**LOG["defaults"], "n": None}}},
        ends={"n": [None]},
    ),
}

CASES: dict[str, Case] = {**JOINS, **MAPS, **ERRORS, **SEEN, **VALUES}
