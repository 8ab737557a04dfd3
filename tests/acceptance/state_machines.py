"""State machines of other languages in our format, by the name of what they show.

`ASL` is the Amazon States Language, `SW` is Serverless Workflow, `SCXML` is the W3C's. A Parallel state is a fork whose
branches are subgraphs or nodes, a Pass is `outputs`, a state of a statechart is a `wait` for its events.
"""

from __future__ import annotations

from typing import Any

from tests.acceptance.cases import LOG, Case, do, graph, if_, over, reducing

Json = Any
FAIL = {"tool": "fail", "inputs": {"error_type": "Failure", "message": "the cause"}}


def set_(to: Json = "end", **outputs: Json) -> dict[str, Json]:
    return {"outputs": outputs, "next": to}


def state(*transitions: tuple[str, str], after_s: float = 0, late: str = "") -> dict[str, Json]:
    """A state that waits for events, and for a time, if there is one."""
    entries: list[Json] = [{"signal": event, "next": target} for event, target in transitions]
    return {"wait": {"any": [*entries, *([{"seconds": after_s, "next": late}] if late else [])]}, "outputs": {}}


ASL = {
    "ASL Pass: a result, parameters and paths": Case(
        nodes={
            "result": set_("parameters", got={"n": 1, "l": [1, {"k": None}], "path": "$.not.a.path"}),
            "parameters": set_("null", made={"first": "= got.l[0]", "k": "= got.l[1].k", "all": "= state.got"}),
            "null": set_("end", got=None),
        },
        ends={
            "got": None,
            "made": {"first": 1, "k": None, "all": {"n": 1, "l": [1, {"k": None}], "path": "$.not.a.path"}},
        },
    ),
    "ASL Pass: escapes in strings": Case(
        nodes={"a": set_("end", s='it\'s "q" \\ \n\t {}', t="= 'it\\'s' + ' \\\\ ' + \"\\\"\"", u="==s")},
        ends={"s": 'it\'s "q" \\ \n\t {}', "t": "it's \\ \"", "u": "=s"},
    ),
    "ASL Task: ResultSelector and ResultPath": Case(
        nodes={
            "task": {
                "tool": "set_state",
                "inputs": {"values": {"status": 200, "body": {"id": "= id", "rest": [1, 2]}}},
                "outputs": {
                    "call": {"code": "= result.status", "id": "= result.body.id", "last": "= result.body.rest[-1]"}
                },
            }
        },
        given={"id": "x-1"},
        ends={"id": "x-1", "call": {"code": 200, "id": "x-1", "last": 2}, "status": "nothing"},
    ),
    "ASL Task: a result that is thrown away": Case(
        nodes={"task": {"tool": "set_state", "inputs": {"values": {"x": 1}}, "outputs": {}}}, ends={"x": "nothing"}
    ),
    "ASL Choice: the default stands first, constants, nested And, Or, Not": Case(
        nodes={
            "c": {
                "next": {
                    "default": "none",
                    "switch": [
                        {"when": "false", "to": "none"},
                        {"when": "not (a and (b or not c)) and exists(d.e)", "to": "one"},
                        {"when": "true", "to": "two"},
                    ],
                }
            },
            **{name: set_(way=name) for name in ("none", "one", "two")},
        },
        given={"a": True, "b": False, "c": True, "d": {"e": None}},
        ends={"way": "one"},
    ),
    "ASL Choice: a choice back to a state before": Case(
        nodes={
            "count": set_("enough", n="= n + 1"),
            "enough": {"next": {"switch": [{"when": "n >= 3", "to": "done"}], "default": "count"}},
            "done": set_(done="= n"),
        },
        given={"n": 0},
        ends={"done": 3},
    ),
    "ASL Wait: no time at all, a time that is over, seconds from the input": Case(
        nodes={
            "zero": {"wait": {"seconds": 0}, "next": "past"},
            "past": {"wait": {"until": "= at"}, "next": "path"},
            "path": {"wait": {"seconds": "= pause / 1000"}, "outputs": {"waited": True}},
        },
        given={"at": "2016-03-14T01:59:00Z", "pause": 20},
        ends={"waited": True},
    ),
    "ASL Wait: seconds that are none": Case(
        nodes={"w": {"wait": {"seconds": "= v"}, "on_error": [{"match": "WaitInvalid", "to": "h"}]}, "h": set_(h=True)},
        given={"v": "ten"},
        ends={"h": True},
    ),
    "ASL Fail: error and cause from the input, caught by nobody": Case(
        nodes={"f": {"tool": "fail", "inputs": {"error_type": "= e", "message": "= c"}}},
        given={"e": "Custom.Error", "c": "why"},
        ends={},
        errors=[("f", "Custom.Error")],
    ),
    "ASL Succeed: in one branch of a Parallel": Case(
        nodes={"p": {"next": ["a", "b"]}, "a": do(), "b": do("c"), "c": do()}, ends={"log": ["a", "b", "c"]}
    ),
    "ASL Parallel: one branch": Case(
        nodes={"p": {"next": ["a"]}, "a": do("j"), "j": do(join="all")}, ends={"log": ["a", "j"]}
    ),
    "ASL Parallel: results in the order of the branches, each of its own kind": Case(
        nodes={
            "p": {"next": ["a", "b", "c"]},
            "a": {"graph": "slow", "outputs": {"out": "= result.v"}, "next": "j"},
            "b": {"outputs": {"out": {"k": [1]}}, "next": "j"},
            "c": {"outputs": {"out": None}, "next": "j"},
            "j": {"join": "all"},
        },
        graphs={"slow": graph({"w": {"wait": {"seconds": 0.05}, "next": "s"}, "s": set_(v="slow")}, state={})},
        more={"state": {"reducers": {"out": "append"}}},
        ends={"out": ["slow", {"k": [1]}, None]},
    ),
    "ASL Parallel: in a Parallel in a Parallel": Case(
        nodes={"p": {"graph": "one", "outputs": {"out": "= result.out"}}},
        graphs={
            "two": graph(
                {
                    "p": {"next": ["c", "d"]},
                    "c": set_("j", out="= x + 'c'"),
                    "d": set_("j", out="= x + 'd'"),
                    "j": {"join": "all"},
                },
                state={"reducers": {"out": "append"}},
            ),
            "one": graph(
                {
                    "p": {"next": ["a", "b"]},
                    **{
                        n: {"graph": "two", "inputs": {"x": n}, "outputs": {"out": "= result.out"}, "next": "j"}
                        for n in "ab"
                    },
                    "j": {"join": "all"},
                },
                state={"reducers": {"out": "append"}},
            ),
        },
        ends={"out": [["ac", "ad"], ["bc", "bd"]]},
    ),
    "ASL Parallel: its Catch": Case(
        nodes={
            "p": {"graph": "branches", "on_error": [{"match": ["Failure"], "to": "caught"}], "next": "missed"},
            "caught": set_(error="= error.type"),
            "missed": {},
        },
        graphs={"branches": graph({"p": {"next": ["a", "b"]}, "a": FAIL, "b": do()})},
        ends={"error": "SubgraphFailed"},
    ),
    "ASL Parallel: its Retry and then its Catch": Case(
        nodes={
            "p": {
                "graph": "branches",
                "retry": [{"on": ["Other"]}, {"on": ["Failure"], "max_attempts": 3, "initial_interval_s": 0.01}],
                "on_error": [{"match": "Failure", "to": "caught"}],
            },
            "caught": do(),
        },
        graphs={"branches": graph({"p": {"next": ["a", "b"]}, "a": FAIL, "b": do()})},
        ends={"log": ["caught"]},
    ),
    "ASL Map: ItemSelector beside the input": Case(
        nodes={
            "start": set_("map", content={"bucket": "b", "values": ["1", "2", "3"]}),
            "map": {"next": over("= content.values", "pass", collect={"out": "= made"})},
            "pass": set_("end", made={"bucket": "= content.bucket", "value": "= it", "at": "= index"}),
        },
        ends={"out": [{"bucket": "b", "value": str(n + 1), "at": n} for n in range(3)]},
    ),
    "ASL Map: entered again and again by a loop": Case(
        nodes={
            "start": set_("before", left=3, values="= range(0, 4)"),
            "before": set_("map", left="= left - 1"),
            "map": {"next": over("= values", "pass", "check", collect={"values": "= it + 1"})},
            "pass": {"next": "check"},
            "check": {"next": {"switch": [{"when": "left == 0", "to": "end"}], "default": "before"}},
        },
        ends={"left": 0, "values": [3, 4, 5, 6]},
    ),
    "ASL Map: one item at a time": Case(
        nodes={"map": {"next": over("= range(5)", "w", collect={"out": "= it"}, max_parallel=1)}, "w": do()},
        ends={"out": [0, 1, 2, 3, 4]},
    ),
    **{
        f"ASL Map: MaxConcurrencyPath and tolerated failures from a path, {tolerated}": Case(
            nodes={
                "map": {
                    "next": over(
                        "= range(4)",
                        "d",
                        "z",
                        collect={"out": "= out"},
                        max_parallel="= limits[0]",
                        tolerated_failures="= limits[1]",
                    ),
                    "on_error": "h",
                },
                "d": {"outputs": {"out": "= 6 // it"}, "next": "z"},
                "z": {},
                "h": set_(why="= error.type"),
            },
            given={"limits": limits},
            ends={"out": "nothing", "why": why} if why else {"out": [None, 6, 3, 2], "why": "nothing"},
        )
        for tolerated, limits, why in [
            ("one", [1, 1], ""),
            ("none", [2, 0], "MapFailed"),
            ("a quarter", [None, "25%"], ""),
            ("less than a quarter", [100, "24%"], "MapFailed"),
            ("which is no number", [1, "few"], "MapLimitsError"),
            ("at nothing at once", [0, 1], "MapLimitsError"),
        ]
    },
    "ASL Map: an item leaves early": Case(
        nodes={
            "map": {
                "next": over([1, "Hello", {}, 3.3, 3, 4], "eq", "after", collect={"out": "= default(out, 'left')"})
            },
            "eq": {"next": if_("it == 3", "after", "work")},
            "work": set_("after", out="= it"),
            "after": {},
        },
        ends={"out": [1, "Hello", {}, 3.3, "left", 4]},
    ),
    "ASL Map: its Retry, as a graph": Case(
        nodes={
            "map": {
                "graph": "mapping",
                "retry": {"on": ["Failure"], "max_attempts": 2, "initial_interval_s": 0.01},
                "on_error": "caught",
            },
            "caught": do(),
        },
        graphs={"mapping": graph({"m": {"next": over([1], "f")}, "f": FAIL})},
        ends={"log": ["caught"]},
    ),
    "ASL Map: its Catch by the error of an item": Case(
        nodes={
            "map": {
                "next": over([1, 2], "f"),
                "on_error": [{"match": "Other", "to": "end"}, {"match": "Failure", "to": "h"}],
            },
            "f": FAIL,
            "h": set_(type="= error.type"),
        },
        ends={"type": "MapFailed"},
    ),
    "ASL Map: a Catch in the item, and null for what is tolerated": Case(
        nodes={
            "map": {"next": over([1, 0, 2], "d", "z", collect={"out": "= out"}, tolerated_failures="34%")},
            "d": {"outputs": {"out": "= 2 // it"}, "on_error": [{"match": "NoSuch", "to": "z"}], "next": "z"},
            "z": {},
        },
        ends={"out": [2, None, 1]},
    ),
    "ASL Map: each item runs a state machine, of which some fail": Case(
        nodes={
            "map": {"next": over([1, 2, 3], "s", "z", collect={"out": "= out"}, tolerated_failures=1)},
            "s": {"graph": "odd", "inputs": {"n": "= it"}, "outputs": {"out": "= result.n * 10"}, "next": "z"},
            "z": {},
        },
        graphs={"odd": graph({"c": {"next": if_("n == 2", "f")}, "f": FAIL}, state={})},
        ends={"out": [10, None, 30]},
    ),
    "ASL Map: in a Parallel, and a Parallel in a Map": Case(
        nodes={
            "p": {"next": ["m", "n"]},
            "m": {"next": over([1, 2], "w", "j", collect={"out": "= it"})},
            "w": {"next": "j"},
            "n": {"next": over([3, 4], ["x", "y"], "j", collect={"out": "= got"})},
            "x": set_("k", got="= it"),
            "y": set_("k", got="= -it"),
            "k": {"join": "all", "next": "j"},
            "j": {"join": "all"},
        },
        more={"state": {"reducers": {"out": "append", "got": "append"}}},
        ends={"out": [[1, 2], [[3, -3], [4, -4]]]},
    ),
    "ASL Map: over the keys of an object": Case(
        nodes={"m": {"next": over("= keys(prices)", "w", collect={"out": "= [it, prices[it]]"})}, "w": {}},
        given={"prices": {"b": 2, "a": 1}},
        ends={"out": [["a", 1], ["b", 2]]},
    ),
    "ASL Catch: the first that matches, with a fallback for all": Case(
        nodes={
            "t": {
                **FAIL,
                "on_error": [{"match": ["A", "B"], "to": "ab"}, {"match": "ToolError", "to": "base"}, {"to": "all"}],
            },
            **{name: set_(way=name) for name in ("ab", "base", "all")},
        },
        ends={"way": "base"},
    ),
    "ASL Catch: the error beside the input": Case(
        nodes={"t": {**FAIL, "on_error": "h"}, "h": set_(info={"Error": "= error.type", "Cause": "= error.message"})},
        given={"n": 5},
        ends={"n": 5, "info": {"Error": "Failure", "Cause": "the cause"}},
    ),
    "ASL Catch: a path that leads nowhere": Case(
        nodes={
            "t": {"tool": "noop", "outputs": {"x": "= a.b.c"}, "on_error": [{"match": "ExpressionError", "to": "h"}]},
            "h": do(),
        },
        given={"a": {}},
        ends={"log": ["h"]},
    ),
    "ASL waitForTaskToken: the callback tells of a failure": Case(
        nodes={
            "ask": {
                "wait": {"signal": "token"},
                "outputs": {"answer": "= result.payload"},
                "next": if_("exists(answer.error)", "f"),
            },
            "f": {
                "tool": "fail",
                "inputs": {"error_type": "= answer.error"},
                "on_error": [{"match": "Refused", "to": "h"}],
            },
            "h": do(),
        },
        signals=[("token", {"error": "Refused"})],
        ends={"log": ["h"]},
    ),
    "ASL waitForTaskToken: TimeoutSecondsPath": Case(
        nodes={
            "ask": {"wait": {"signal": "token", "timeout_s": "= patience / 1000", "on_timeout": "late"}},
            "late": do(),
        },
        given={"patience": 20},
        ends={"log": ["late"]},
    ),
    "ASL waitForTaskToken: the task times out": Case(
        nodes={
            "ask": {
                "wait": {"signal": "token", "timeout_s": "= patience"},
                "on_error": [{"match": "TimeoutError", "to": "h"}],
            },
            "h": set_(why="= error.message"),
        },
        given={"patience": 0.02},
        ends={"why": "Nothing came within the timeout_s of 0.02 s."},
    ),
    "ASL TimeoutSeconds of the machine inside": Case(
        nodes={"s": {"graph": "long", "on_error": [{"match": "TimeoutError", "to": "h"}]}, "h": do()},
        graphs={"long": graph({"w": {"wait": {"seconds": 600}}}, limits={"timeout_s": 0.05})},
        ends={"log": ["h"]},
    ),
}

SW = {
    "SW flow: then, against the order of the list": Case(
        nodes={"red": do("green"), "blue": do("end"), "green": do("blue")}, ends={"log": ["red", "green", "blue"]}
    ),
    "SW set: over what it reads": Case(
        nodes={"a": set_("end", a="= b", b="= a")}, given={"a": 1, "b": 2}, ends={"a": 2, "b": 1}
    ),
    "SW for: each with its index, one after another": Case(
        nodes={
            "for": {"next": if_("i < len(colors)", "do")},
            "do": set_("for", done="= colors[i]", at="= i", i="= i + 1"),
        },
        given={"colors": ["red", "green", "blue"], "i": 0},
        more={"state": {"reducers": {"done": "append", "at": "append"}}},
        ends={"done": ["red", "green", "blue"], "at": [0, 1, 2]},
    ),
    "SW switch: without a case that holds it goes on": Case(
        nodes={"s": {"next": {"switch": [{"when": "kind == 'a'", "to": "a"}], "default": "on"}}, "a": do(), "on": do()},
        given={"kind": "b"},
        ends={"log": ["on"]},
    ),
    "SW fork: compete": Case(
        nodes={
            "f": {"next": ["red", "green"]},
            "red": do("j", update={"colors": "red"}),
            "green": {"wait": {"seconds": 600}, "next": "j"},
            "j": {"join": "any"},
        },
        more={"state": reducing(colors="append")},
        ends={"colors": ["red"]},
    ),
    "SW try: caught, with another name for the error": Case(
        nodes={
            "try": {**FAIL, "on_error": [{"match": "Failure", "to": "catch"}]},
            "catch": set_("after", err="= error"),
            "after": set_(told="= err.type + ' at ' + err.node"),
        },
        ends={"told": "Failure at try"},
        deaths=False,
    ),
    "SW try: not caught": Case(
        nodes={"try": {**FAIL, "on_error": [{"match": "Other", "to": "end"}]}}, ends={}, errors=[("try", "Failure")]
    ),
    "SW try: several tasks, of which the second fails": Case(
        nodes={"try": {"graph": "tasks", "on_error": "h", "next": "end"}, "h": do()},
        graphs={"tasks": graph({"a": do("b"), "b": {**FAIL, "next": "c"}, "c": do()})},
        ends={"log": ["h"]},
    ),
    "SW listen: all, any, and until one that ends it": Case(
        nodes={
            "all": {"next": ["a", "b"]},
            "a": {"wait": {"signal": "a"}, "outputs": {"all": "a"}, "next": "j"},
            "b": {"wait": {"signal": "b"}, "outputs": {"all": "b"}, "next": "j"},
            "j": {"join": "all", "next": "until"},
            "until": {
                "wait": {"any": [{"signal": "more"}, {"signal": "stop", "next": "end"}]},
                "outputs": {"heard": "= result.payload"},
                "next": "until",
            },
        },
        signals=[("b", 0), ("a", 0), ("more", 1), ("more", 2)],
        more={"state": {"reducers": {"all": "append", "heard": "append"}}},
        ends={"all": ["a", "b"], "heard": [1, 2]},
        waits_at=["until"],
    ),
}

SCXML = {
    "SCXML transitions: the first in document order": Case(
        nodes={"s": state(("e", "one"), ("e", "two")), "one": do(), "two": do()},
        signals=[("e", None)],
        ends={"log": ["one"]},
    ),
    "SCXML transitions: events in the order in which they were sent": Case(
        nodes={
            "s": {"wait": {"signal": "e"}, "outputs": {"got": "= result.payload"}, "next": if_("len(got) < 3", "s")}
        },
        signals=[("e", 1), ("e", 2), ("e", 3)],
        more={"state": {"reducers": {"got": "append"}}},
        ends={"got": [1, 2, 3]},
    ),
    "SCXML transitions: a guard that does not hold stays in the state": Case(
        nodes={
            "s": {
                "wait": {"signal": "coin"},
                "outputs": {"paid": "= result.payload"},
                "next": if_("paid >= 50", "open", "s"),
            },
            "open": do(),
        },
        signals=[("coin", 20), ("coin", 20), ("coin", 10)],
        more={"state": {**reducing(paid="add"), "defaults": {"log": [], "paid": 0}}},
        ends={"paid": 50, "log": ["open"]},
    ),
    "SCXML transitions: without an event, through states that pass on": Case(
        nodes={"a": do(if_("x == 1", "b", "c")), "b": do("d"), "c": do(), "d": do(if_("exists(y)", "c"))},
        given={"x": 1},
        ends={"log": ["a", "b", "d"]},
    ),
    "SCXML onexit and onentry: inner before outer, outer before inner": Case(
        nodes={
            "exit_inner": do("exit_outer"),
            "exit_outer": do("act"),
            "act": do("enter_outer"),
            "enter_outer": do("enter_inner"),
            "enter_inner": do(),
        },
        ends={"log": ["exit_inner", "exit_outer", "act", "enter_outer", "enter_inner"]},
    ),
    "SCXML parallel: done when both regions are": Case(
        nodes={
            "p": {"next": ["r1", "r2"]},
            "r1": state(("one", "f1")),
            "f1": do("done"),
            "r2": state(("two", "f2")),
            "f2": do("done"),
            "done": do(join="all"),
        },
        signals=[("two", None), ("one", None)],
        ends={"log": ["f1", "f2", "done"]},
    ),
    "SCXML parallel: an event for the whole leaves all regions": Case(
        nodes={
            "p": {"next": ["r1", "r2", "whole"]},
            "r1": state(("one", "f1")),
            "f1": do("left"),
            "r2": state(("two", "f2")),
            "f2": do("left"),
            "whole": state(("leave", "left")),
            "left": do(join="any"),
        },
        signals=[("leave", None)],
        ends={"log": ["left"]},
    ),
    "SCXML history: back into the substate that was left": Case(
        nodes={
            "s1": state(("next", "s2"), ("pause", "p1")),
            "s2": state(("next", "final"), ("pause", "p2")),
            "p1": set_("paused", history="s1"),
            "p2": set_("paused", history="s2"),
            "paused": state(("resume", "again")),
            "again": {"next": {"switch": [{"when": "history == 's2'", "to": "s2b"}], "default": "s1"}},
            "s2b": state(("end", "final")),
            "final": do(),
        },
        signals=[("next", None)],
        ends={"log": []},
        waits_at=["s2"],
    ),
    "SCXML send: with a delay, cancelled by another event": Case(
        nodes={"s": state(("cancel", "off"), after_s=600, late="late"), "off": do(), "late": do()},
        signals=[("cancel", None)],
        ends={"log": ["off"]},
    ),
    "SCXML send: with a delay": Case(
        nodes={"s": state(("cancel", "off"), after_s=0.05, late="late"), "off": do(), "late": do()},
        ends={"log": ["late"]},
    ),
    "SCXML send: a traffic light": Case(
        nodes={
            **{
                color: {"wait": {"seconds": 0.01}, "outputs": {"log": color}, "next": after}
                for color, after in (("red", "green"), ("green", "yellow"), ("yellow", if_("len(log) < 6", "red")))
            }
        },
        ends={"log": ["red", "green", "yellow"] * 2},
    ),
    "SCXML invoke: with params, and the donedata of its final state": Case(
        nodes={
            "s": {
                "graph": "invoked",
                "inputs": {"n": "= n + 1"},
                "outputs": {"done": "= result.data"},
                "next": if_("done == 20", "ok"),
            },
            "ok": do(),
        },
        given={"n": 1},
        graphs={"invoked": graph({"f": set_(data="= n * 10")}, state={})},
        ends={"done": 20, "log": ["ok"]},
    ),
    "SCXML invoke: cancelled when its state is left": Case(
        nodes={
            "s": {"next": ["child", "event"]},
            "child": {"graph": "endless", "next": "left"},
            "event": state(("leave", "left")),
            "left": do(join="any"),
        },
        graphs={"endless": graph({"w": {"wait": {"signal": "never"}, "next": "w"}})},
        signals=[("leave", None)],
        ends={"log": ["left"]},
    ),
    "SCXML error.execution: an assignment that fails goes to the error's state": Case(
        nodes={
            "s": {"outputs": {"x": "= 1 / zero"}, "on_error": [{"match": "ExpressionError", "to": "error"}]},
            "error": do(),
        },
        given={"zero": 0},
        ends={"log": ["error"], "x": "nothing"},
    ),
    "SCXML foreach: over an array with item and index": Case(
        nodes={
            "f": {"next": over("= items", "w", "z")},
            "w": {"outputs": {"sum": "= it * (index + 1)"}, "next": "z"},
            "z": {},
        },
        given={"items": [1, 2, 3]},
        more={"state": {**LOG, "reducers": {"sum": "add"}}},
        ends={"sum": 14},
    ),
}

CASES: dict[str, Case] = {**ASL, **SW, **SCXML}
