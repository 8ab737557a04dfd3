"""What the tests of LangGraph show of graphs over a shared state, said in our format.

Its list edges are our joins, its `Send` and `Command` are ours, its `interrupt` is `ctx.interrupt`, its `defer` is a
join for all, its state channels are keys with reducers. Where ours differ, the name of the case says so.
"""

from __future__ import annotations

from typing import Any

from tests.acceptance.cases import QUIET, Case, do, graph, if_, may, over, reducing

Json = Any
FALSY: list[Json] = [None, False, 0, "", [], {}, 0.0]

FANNING_OUT = {
    # q ──<  a ── r1 | r2  >── qa(all)
    "a list edge waits for branches of unlike length": Case(
        nodes={"q": do(["a", "r2"]), "a": do("r1"), "r1": do("qa"), "r2": do("qa"), "qa": do(join="all")},
        ends={"log": ["q", "a", "r1", "r2", "qa"]},
    ),
    "a branch that is chosen may fan out": Case(
        nodes={"q": do(if_("true", ["r1", "r2"])), "r1": do("qa"), "r2": do("qa"), "qa": do(join="all")},
        ends={"log": ["q", "r1", "r2", "qa"]},
    ),
    "a node without a join runs once for each branch, of whatever length": Case(
        nodes={"q": do(["a", "b"]), "a": do("m"), "b": do("c"), "c": do("m"), "m": do()},
        ends={"log": ["q", "a", "m", "b", "c", "m"]},
    ),
    "a deferred node runs when nothing else can come": Case(
        nodes={
            "a": do(["b", "c", "d"]),
            "b": do("b2"),
            "b2": do("z"),
            "c": do("z"),
            "d": do(if_("false", "z")),
            "z": do(join="all"),
        },
        ends={"log": ["a", "b", "b2", "c", "z", "d"]},
    ),
    "two deferred nodes in a row": Case(
        nodes={"a": do(["b", "y"]), "b": do("y"), "y": do("z", join="all"), "z": do(join="all")},
        ends={"log": ["a", "b", "y", "z"]},
    ),
    "a condition may choose several of many": Case(
        nodes={
            "a": do(
                {
                    "each": [
                        {"when": "k > 0", "to": "b"},
                        {"when": "k > 1", "to": ["c", "d"]},
                        {"when": "k > 2", "to": "e"},
                    ]
                }
            ),
            **{name: do("j") for name in "bcde"},
            "j": do(join="all"),
        },
        given={"k": 2},
        ends={"log": ["a", "b", "c", "d", "j"]},
    ),
    "a condition that chooses nothing ends the branch": Case(
        nodes={"a": do({"each": [{"when": "false", "to": "b"}]}), "b": do()}, ends={"log": ["a"]}
    ),
    "a fan-out in a fan-out": Case(
        nodes={
            "s": do(["a", "b"]),
            "a": do(["a1", "a2"]),
            "a1": do("ja"),
            "a2": do("ja"),
            "ja": do("j", join="all"),
            "b": do("j"),
            "j": do(join="all"),
        },
        ends={"log": ["s", "a", "a1", "a2", "ja", "b", "j"]},
    ),
    "branches over many edges meet twice": Case(
        nodes={
            "s": do(["a", "b", "c"]),
            "a": do("ab"),
            "b": do(["ab", "bc"]),
            "c": do("bc"),
            "ab": do("j", join="all"),
            "bc": do("j", join="all"),
            "j": do(join="all"),
        },
        ends={"log": ["s", "a", "b", "ab", "c", "bc", "j"]},
    ),
    "a loop that fans out and joins in each turn": Case(
        nodes={
            "s": do(["a", "b"]),
            "a": do("j"),
            "b": do("j"),
            "j": do(if_("n < 3", "s"), join="all", update={"n": "= n + 1"}),
        },
        given={"n": 0},
        ends={"n": 3, "log": ["s", "a", "b", "j"] * 3},
    ),
    "the order is that of the list, not that of time": Case(
        nodes={
            "s": do(["slow", "fast"]),
            "slow": {"wait": {"seconds": 0.05}, "next": "slow2"},
            "slow2": do("j"),
            "fast": do("j"),
            "j": do(join="all"),
        },
        ends={"log": ["s", "slow2", "fast", "j"]},
    ),
}

STATE = {
    "two branches that replace one key are an error, as are equal values": Case(
        nodes={"a": do(["b", "c"]), "b": do(update={"h": 1}), "c": do(update={"h": 1})},
        ends={},
        errors=[("end", "ConcurrentUpdateError")],
    ),
    "what a branch has seen it may replace": Case(
        nodes={
            "a": do(["b", "c"], update={"h": 0}),
            "b": do("j", update={"h": 1}),
            "c": do("j"),
            "j": do(join="all", update={"h": "= h + 1"}),
        },
        ends={"h": 2},
    ),
    "every reducer over three branches": Case(
        nodes={
            "s": {"next": ["a", "b", "c"]},
            **{
                name: do(
                    "j", update={"all": n, "more": [n, n], "sum": n, "top": n, "low": n, "of": {name: n}, "set": [n]}
                )
                for n, name in enumerate("abc", start=1)
            },
            "j": {"join": "all"},
        },
        more={
            "state": reducing(all="append", more="extend", sum="add", top="max", low="min", of="merge", set="union"),
        },
        ends={
            "all": [1, 2, 3],
            "more": [1, 1, 2, 2, 3, 3],
            "sum": 6,
            "top": 3,
            "low": 1,
            "of": {"a": 1, "b": 2, "c": 3},
            "set": [1, 2, 3],
            "log": ["a", "b", "c"],
        },
    ),
    "an overwrite goes round the reducer": Case(
        nodes={"a": do("b"), "b": do("c", overwrite={"log": ["new"]}, **QUIET), "c": do()}, ends={"log": ["new", "c"]}
    ),
    "an overwrite beside an update that it has not seen": Case(
        nodes={
            "a": do(["b", "c"]),
            "b": do("j", overwrite={"log": ["new"]}, **QUIET),
            "c": do("j"),
            "j": do(join="all"),
        },
        ends={"log": ["new", "c", "j"]},
    ),
    "two overwrites in parallel are an error": Case(
        nodes={
            "a": do(["b", "c"]),
            "b": do("j", overwrite={"log": [1]}, **QUIET),
            "c": do("j", overwrite={"log": [2]}, **QUIET),
            "j": do(join="all"),
        },
        ends={},
        errors=[("j", "ConcurrentUpdateError")],
    ),
    "a key that is removed is gone": Case(
        nodes={"a": do("b", drop=["n"]), "b": do(update={"gone": "= not exists(n)"})},
        given={"n": 1},
        ends={"n": "nothing", "gone": True},
    ),
    "a node that returns nothing changes nothing": Case(
        nodes={"a": do("b", **QUIET), "b": {"tool": "noop"}}, given={"n": 1}, ends={"n": 1, "log": []}
    ),
    **{
        f"the falsy value {value!r} is a value": Case(
            nodes={"a": do("b", update={"v": value}), "b": do(update={"w": "= v", "same": "= v == w0"})},
            given={"w0": value, "v": 1},
            ends={"v": value, "w": value, "same": True},
        )
        for value in FALSY
    },
    "a result that is no object needs outputs": Case(
        nodes={"a": {"tool": "set_state", "inputs": {"values": [1]}}}, ends={}, errors=[("a", "ToolInputError")]
    ),
    "a key that the schema does not know is refused": Case(
        nodes={"a": do(update={"hell": "world"})},
        more={"state": {**reducing(), "schema": {"properties": {"log": {}}, "additionalProperties": False}}},
        ends={"hell": "nothing"},
        errors=[("a", "StateSchemaError")],
    ),
    "a value that the schema refuses fails the step, which may handle it": Case(
        nodes={"a": do(update={"n": "three"}, on_error=[{"match": "StateSchemaError", "to": "b"}]), "b": do()},
        more={"state": {**reducing(), "schema": {"properties": {"n": {"type": "integer"}}}}},
        given={"n": 1},
        ends={"n": 1, "log": ["b"]},
    ),
}

COMMANDS = {
    "a command goes where it says and updates on the way": Case(
        nodes={"a": do(may("b", "c"), goto="c", update={"n": 1}), "b": do(), "c": do(if_("n == 1", "b"))},
        ends={"log": ["a", "c", "b"]},
    ),
    "a command with several targets forks in its order": Case(
        nodes={"a": do(may("b", "c"), goto=["c", "b"]), "b": do("j"), "c": do("j"), "j": do(join="all")},
        ends={"log": ["a", "c", "b", "j"]},
    ),
    "a command may loop until it ends": Case(
        nodes={"a": do("r", update={"n": "= n + 1"}), "r": do(may("a", "end"), goto="= 'a' if n < 3 else 'end'")},
        given={"n": 0},
        ends={"n": 3, "log": ["a", "r"] * 3},
    ),
    "a command to a node that is not declared is an error": Case(
        nodes={"a": do(may("b"), goto="c"), "b": do(), "c": do()}, ends={"log": []}, errors=[("a", "BadRoute")]
    ),
    "a command does not add to a static edge: it needs dynamic ones": Case(
        nodes={"a": do("b", goto="c"), "b": do(), "c": do()}, ends={"log": []}, errors=[("a", "BadRoute")]
    ),
    "a command that says nothing of where to go is an error": Case(
        nodes={"a": do(may("b")), "b": do()}, ends={}, errors=[("a", "NoRouteError")]
    ),
    "a command with a bad route may be handled": Case(
        nodes={"a": do(may("b"), goto="c", on_error=[{"match": "BadRoute", "to": "c"}]), "b": do(), "c": do()},
        ends={"log": ["c"]},
    ),
    "nodes hand over to each other": Case(
        nodes={
            "alice": do(may("bob", "carol", "end"), goto="= who[len(log)]"),
            "bob": do(may("alice", "carol", "end"), goto="= who[len(log)]"),
            "carol": do(may("alice", "bob", "end"), goto="= who[len(log)]"),
        },
        given={"who": ["bob", "alice", "carol", "bob", "end"]},
        ends={"log": ["alice", "bob", "alice", "carol", "bob"]},
    ),
    "a supervisor asks workers until it is content": Case(
        nodes={
            "boss": do(
                may("work", "end"), goto="= 'end' if len(log) > 4 else null", send="= [] if len(log) > 4 else jobs"
            ),
            "work": do("report", update={"done": "= job"}),
            "report": {"join": "all", "next": "boss"},
        },
        given={"jobs": [["work", {"job": 1}], ["work", {"job": 2}]]},
        more={"state": reducing(done="append")},
        ends={"done": [1, 2, 1, 2], "log": ["boss", "work", "work"] * 2 + ["boss"]},
    ),
}

SENDS = {
    "a map and a reduce with sends": Case(
        nodes={
            "plan": do(may("work"), send=[["work", {"x": n}] for n in range(6)]),
            "work": do("gather", update={"out": "= x * x"}),
            "gather": do(join="all"),
        },
        more={"state": reducing(out="append")},
        ends={"out": [0, 1, 4, 9, 16, 25], "x": "nothing"},
    ),
    "sends to several nodes beside a plain target": Case(
        nodes={
            "a": do(may("b", "c"), goto="b", send=[["c", {"x": 1}], ["b", {"x": 2}], ["c", {"x": 3}]]),
            "b": do("j", update={"out": "= default(x, 0)"}),
            "c": do("j", update={"out": "= -x"}),
            "j": do(join="all"),
        },
        more={"state": reducing(out="append")},
        ends={"out": [0, -1, 2, -3], "log": ["a", "b", "c", "b", "c", "j"]},
    ),
    "a payload hides a key for one step and changes nothing": Case(
        nodes={
            "a": do(may("b"), send=[["b", {"x": 1}]]),
            "b": do(if_("x == 1", "c"), update={"seen": "= x"}),
            "c": do(update={"later": "= x"}),
        },
        given={"x": 7},
        ends={"x": 7, "seen": 1, "later": 7},
    ),
    "sends that send again": Case(
        nodes={
            "a": do(may("b"), send=[["b", {"x": 1}], ["b", {"x": 2}]]),
            "b": do(
                may("b", "j"), update={"out": "= x"}, goto="= 'j' if x > 2 else null", send="= [] if x > 2 else again"
            ),
            "j": do(join="all"),
        },
        given={"again": [["b", {"x": 3}]]},
        more={"state": reducing(out="append")},
        ends={"out": [1, 3, 2, 3], "log": ["a", "b", "b", "b", "b", "j"]},
    ),
    "no sends at all end the branch": Case(
        nodes={"a": do(may("b"), send=[]), "b": do("j"), "j": do(join="all")}, ends={"log": ["a"]}
    ),
    "a payload that is sent to a join is lost there": Case(
        nodes={
            "a": do(may("j"), send=[["j", {"x": 1}], ["j", {"x": 2}]]),
            "j": do(join="all", update={"x_is_there": "= exists(x)"}),
        },
        ends={"log": ["a", "j"], "x_is_there": False},
    ),
    "a hundred sends": Case(
        nodes={
            "a": do(may("b"), send=[["b", {"x": n}] for n in range(100)]),
            "b": do("j", update={"log": None, "sum": "= x", "out": "= x"}),
            "j": do(join="all"),
        },
        more={"state": reducing(out="append", sum="add")},
        ends={"out": [*range(100)], "sum": 4950, "log": ["a", "j"]},
        deaths=False,
    ),
    "one send that fails keeps what the others wrote": Case(
        nodes={
            "a": do(may("b"), send=[["b", {"x": n}] for n in ("", "Broken", "")]),
            "b": do("j", fails="= x", on_error="h"),
            "h": do("j"),
            "j": do(join="all"),
        },
        ends={"log": ["a", "b", "h", "b", "j"]},
    ),
}

LOOPS = {
    "a loop ends by its condition": Case(nodes={"a": do(if_("len(log) < 6", "a"))}, ends={"log": ["a"] * 6}),
    "a loop of exactly as many steps as are allowed": Case(
        nodes={"a": do(if_("len(log) < 6", "a"))},
        more={"limits": {"max_steps": 6}},
        ends={"log": ["a"] * 6},
    ),
    "a loop without end meets its limit of steps": Case(
        nodes={"a": do("b"), "b": do("a")},
        more={"limits": {"max_steps": 5}},
        ends={"log": ["a", "b", "a", "b", "a"]},
        errors=[("b", "LimitExceeded")],
    ),
    "a loop without end meets its limit of turns": Case(
        nodes={"a": do("a")},
        more={"limits": {"max_iterations": 3}},
        ends={"log": ["a"] * 3},
        errors=[("a", "LimitExceeded")],
    ),
    "a plan is made and done step by step": Case(
        nodes={
            "plan": do("step", update={"steps": ["search", "read", "write"], "i": 0}),
            "step": do(if_("i < len(steps)", "step", "answer"), update={"done": "= steps[i]", "i": "= i + 1"}),
            "answer": do(),
        },
        more={"state": reducing(done="append")},
        ends={"done": ["search", "read", "write"], "log": ["plan", "step", "step", "step", "answer"]},
    ),
}

ADDER = graph({"x": do("y"), "y": do(update={"n": "= n + 1"})})
SUBGRAPHS = {
    "a subgraph shares what it is given and gives back": Case(
        nodes={
            "a": do("s"),
            "s": {
                "graph": "adder",
                "inputs": {"n": "= n", "log": "= log"},
                "outputs": {"n": "= result.n", "log": {"$set": "= result.log"}},
                "next": "b",
            },
            "b": do(),
        },
        given={"n": 1},
        graphs={"adder": ADDER},
        ends={"n": 2, "log": ["a", "x", "y", "b"]},
    ),
    "a subgraph with a state of its own": Case(
        nodes={"s": {"graph": "adder", "inputs": {"n": 40}, "outputs": {"answer": "= result.n + 1"}}},
        given={"n": 1},
        graphs={"adder": ADDER},
        ends={"n": 1, "answer": 42, "log": []},
    ),
    "one subgraph in two branches": Case(
        nodes={
            "a": do(["s", "t"]),
            **{
                name: {"graph": "adder", "inputs": {"n": n}, "outputs": {"log": "= result.n"}, "next": "j"}
                for name, n in (("s", 1), ("t", 5))
            },
            "j": do(join="all"),
        },
        graphs={"adder": ADDER},
        ends={"log": ["a", 2, 6, "j"]},
    ),
    "a subgraph in a loop begins anew each turn": Case(
        nodes={
            "s": {
                "graph": "adder",
                "inputs": {"n": "= n"},
                "outputs": {"n": "= result.n", "log": "= len(result.log)"},
                "next": if_("n < 4", "s"),
            }
        },
        given={"n": 1},
        graphs={"adder": ADDER},
        ends={"n": 4, "log": [2, 2, 2]},
    ),
    "a subgraph in a subgraph": Case(
        nodes={"s": {"graph": "around", "inputs": {"n": 1}, "outputs": {"n": "= result.n"}}},
        graphs={
            "adder": ADDER,
            "around": graph(
                {
                    "in": {
                        "graph": "adder",
                        "inputs": {"n": "= n * 10"},
                        "outputs": {"n": "= result.n"},
                        "next": "out",
                    },
                    "out": do(),
                }
            ),
        },
        ends={"n": 11},
    ),
    "a subgraph for each item": Case(
        nodes={
            "f": {"next": over([1, 2, 3], "s", collect={"out": "= n"})},
            "s": {"graph": "adder", "inputs": {"n": "= it"}, "outputs": {"n": "= result.n"}},
        },
        graphs={"adder": ADDER},
        ends={"out": [2, 3, 4]},
    ),
    "a subgraph says where its parent goes": Case(
        nodes={
            "s": {
                "graph": "chooser",
                "inputs": {"n": "= n"},
                "outputs": {"to": "= result.goto_parent"},
                "next": {"switch": [{"when": "to == 'b'", "to": "b"}], "default": "c"},
            },
            "b": do(),
            "c": do(),
        },
        given={"n": 3},
        graphs={"chooser": graph({"x": do(update={"goto_parent": "= 'b' if n > 2 else 'c'"})})},
        ends={"log": ["b"]},
    ),
    "what fails in a subgraph is handled by its type": Case(
        nodes={
            "s": {
                "graph": "breaks",
                "on_error": [{"match": "Hiccup", "to": "h"}, {"match": "Broken", "to": "i"}],
                "next": "end",
            },
            "h": do(),
            "i": do(update={"why": "= error.type"}),
        },
        graphs={"breaks": graph({"x": do(["y", "z"]), "y": do(fails="Broken"), "z": do()})},
        ends={"log": ["i"], "why": "SubgraphFailed"},
    ),
    "what fails in a subgraph fails the run": Case(
        nodes={"s": {"graph": "breaks", "next": "b"}, "b": do()},
        graphs={"breaks": graph({"x": do(["y", "z"]), "y": do(fails="Broken"), "z": do()})},
        ends={"log": []},
        errors=[("s", "SubgraphFailed"), ("y", "Broken")],
    ),
}

PEOPLE = {
    "an interrupt is answered": Case(
        nodes={"a": do("b", ask=["How old?"]), "b": do()},
        answers={"a": {"age": 7}},
        ends={"answers": [{"age": 7}], "log": ["a", "b"]},
    ),
    "several interrupts of one node are answered one by one": Case(
        nodes={"a": do(ask=["1", "2", "3"])},
        answers={f"interrupt-{n}": {"n": n} for n in (1, 2, 3)},
        ends={"answers": [{"n": 1}, {"n": 2}, {"n": 3}], "log": ["a"]},
    ),
    "interrupts of parallel branches": Case(
        nodes={
            "s": do(["a", "b"]),
            "a": do("j", ask=["?"], **QUIET),
            "b": do("j", ask=["?"], **QUIET),
            "j": do(join="all"),
        },
        answers={"a": {"n": 1}, "b": {"n": 2}},
        more={"state": reducing(answers="extend")},
        ends={"answers": [{"n": 1}, {"n": 2}], "log": ["s", "j"]},
    ),
    "an answer to one branch leaves the other alone": Case(
        nodes={
            "s": do(["a", "b"]),
            "a": do("a2", ask=["?"], **QUIET),
            "a2": do("j"),
            "b": do("j", ask=["?"], **QUIET),
            "j": do(join="all"),
        },
        answers={"a": {"n": 1}},
        more={"state": reducing(answers="extend")},
        ends={"log": ["s", "a2"]},
        waits_at=["b"],
    ),
    "a branch goes on while its sibling asks": Case(
        nodes={"s": do(["a", "b"]), "a": do(ask=["?"], **QUIET), "b": do("c"), "c": do()},
        ends={"log": ["s", "b", "c"]},
        waits_at=["a"],
    ),
    "an interrupt in a subgraph": Case(
        nodes={"s": {"graph": "asks", "outputs": {"said": "= result.answers"}, "next": "b"}, "b": do()},
        graphs={"asks": graph({"x": do("y", ask=["Sure?"]), "y": do()})},
        answers={"x": {"ok": True}},
        ends={"said": [{"ok": True}], "log": ["b"]},
    ),
    "an interrupt in each item of a map": Case(
        nodes={"f": {"next": over([1, 2], "q", "j", collect={"out": "= answers"})}, "q": do("j", ask=["?"]), "j": do()},
        answers={"q": {"ok": 1}},
        ends={"out": [[{"ok": 1}], [{"ok": 1}]]},
    ),
    "an interrupt and then a command": Case(
        nodes={"a": do(may("b", "c"), ask=["Where?"], goto="c"), "b": do(), "c": do()},
        answers={"a": {"to": "c"}},
        ends={"log": ["a", "c"]},
    ),
    "people approve or refuse": Case(
        nodes={
            "a": do("ok"),
            "ok": {"human": {"title": "Do it?"}, "next": if_("approved", "b", "c")},
            "b": do(),
            "c": do(),
        },
        answers={"ok": {"approved": False}},
        ends={"approved": False, "log": ["a", "c"]},
    ),
    "a question is asked until the answer will do": Case(
        nodes={"a": do(if_("len(tries) < 3", "a"), ask=["Age?"], update={"tries": "x"})},
        more={"state": reducing(tries="append")},
        answers={"a": {"age": 7}},
        ends={"log": ["a", "a", "a"]},
    ),
}

QUICK = {"initial_interval_s": 0.01, "jitter": False}
FAILURES = {
    "a retry that succeeds": Case(
        nodes={"a": do("b", fails="Hiccup", times=2, retry={"max_attempts": 3, **QUICK}), "b": do()},
        ends={"log": ["a", "b"]},
        deaths=False,
    ),
    "of two policies the one that names the error": Case(
        nodes={
            "a": do(fails="Hiccup", times=2, retry=[{"on": ["Broken"]}, {"on": ["Hiccup"], "max_attempts": 3, **QUICK}])
        },
        ends={"log": ["a"]},
        deaths=False,
    ),
    "a retry that is used up fails the branch while the other goes on": Case(
        nodes={
            "s": do(["a", "b"]),
            "a": do("j", fails="Hiccup", retry={"max_attempts": 2, **QUICK}),
            "b": do("c"),
            "c": do("j"),
            "j": do(join="all"),
        },
        ends={"log": ["s", "b", "c"]},
        errors=[("a", "Hiccup")],
    ),
    "an error handler after the last attempt": Case(
        nodes={"a": do(fails="Hiccup", retry={"max_attempts": 2, **QUICK}, on_error="h"), "h": do()},
        ends={"log": ["h"]},
    ),
    "a handler in one branch of two": Case(
        nodes={
            "s": do(["a", "b"]),
            "a": do("j", fails="Broken", on_error="h"),
            "h": do("j"),
            "b": do("j"),
            "j": do(join="all"),
        },
        ends={"log": ["s", "h", "b", "j"]},
    ),
    "both branches fail and both errors are told": Case(
        nodes={"s": do(["a", "b"]), "a": do(fails="Broken"), "b": do(fails="Hiccup")},
        ends={"log": ["s"]},
        errors=[("a", "Broken"), ("b", "Hiccup")],
    ),
    "an error that no handler names": Case(
        nodes={"a": do(fails="Broken", on_error=[{"match": "Hiccup", "to": "h"}]), "h": do()},
        ends={},
        errors=[("a", "Broken")],
    ),
    "a handler that fails is handled in turn": Case(
        nodes={
            "a": do(fails="Broken", on_error="h"),
            "h": do(fails="Hiccup", on_error="i"),
            "i": do(update={"why": "= error.type"}),
        },
        ends={"log": ["i"], "why": "Hiccup"},
    ),
    "a subgraph is tried again as a whole": Case(
        nodes={
            "s": {
                "graph": "flaky",
                "retry": {"max_attempts": 2, "on": ["Hiccup"], **QUICK},
                "on_error": [{"match": "Hiccup", "to": "h"}],
            },
            "h": do(),
        },
        graphs={"flaky": graph({"x": do("y"), "y": do(fails="Hiccup")})},
        ends={"log": ["h"]},
    ),
    "the first failure stops the others": Case(
        nodes={"s": do(["a", "b"]), "a": do(fails="Broken"), "b": {"wait": {"seconds": 2}, "next": "c"}, "c": do()},
        more={"on_failure": "stop"},
        ends={"log": ["s"]},
        errors=[("a", "Broken")],
    ),
}

CASES: dict[str, Case] = {
    **FANNING_OUT,
    **STATE,
    **COMMANDS,
    **SENDS,
    **LOOPS,
    **SUBGRAPHS,
    **PEOPLE,
    **FAILURES,
}
