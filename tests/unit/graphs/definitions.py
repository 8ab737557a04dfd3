"""Definitions for tests: the published example, a small builder, and random ones that use the whole grammar."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import strategies as st

from graphs.spec.waits import ROLES

PUBLISHED: dict[str, Any] = {
    "name": "code_review_workflow",
    "nodes": {
        "extract": {"tool": "extract_functions", "next": "check_complexity"},
        "check_complexity": {"tool": "check_complexity", "next": "detect_issues"},
        "detect_issues": {"tool": "detect_issues", "next": "suggest_improvements"},
        "suggest_improvements": {"tool": "suggest_improvements", "next": "evaluate_quality"},
        "evaluate_quality": {
            "tool": "evaluate_quality",
            "next": {
                "condition": "quality_score >= 7 or iteration >= 5",
                "if_true": "end",
                "if_false": "check_complexity",
            },
        },
    },
    "start_node": "extract",
}


def graph(nodes: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """A definition of these nodes that starts at the first one."""
    return {"name": "test", "start_node": next(iter(nodes)), "nodes": nodes, **rest}


# Random definitions. Each optional key is sometimes left out; whatever is drawn keeps the grammar.

# NUL characters never get here: `tools.strict_json` refuses them at the door.
_text = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
_words = st.text(alphabet="abcXYZ_09 é", min_size=1, max_size=8)
_keys = st.sampled_from(["score", "items", "notes", "odd key", "é"])
_expressions = st.sampled_from(["score > 3", "exists(notes)", "len(items) >= 2", "default(score, 0) == 1"])
_with_sign = _expressions.map(lambda source: f"= {source}")
_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _text
_floats = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    _scalars | _floats,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
).filter(lambda value: not (isinstance(value, str) and value.startswith("=")))
_objects = st.dictionaries(_text, json_values, max_size=2)
_plain = json_values.filter(lambda value: "=" not in repr(value))
_values = st.dictionaries(_keys, _plain | _with_sign | st.lists(_with_sign | _plain, max_size=2), max_size=2)
_seconds = st.integers(1, 1_000) | st.sampled_from([0.5, 2.0, 1.25])
_counts = st.integers(1, 50)


_final_statuses = st.lists(st.sampled_from(["completed", "failed", "cancelled"]), min_size=1, unique=True)


def _some(required: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required or {}, optional=optional)


def _routes(target: Any, targets: Any) -> st.SearchStrategy[Any]:
    cases = st.lists(_some({"when": _expressions, "to": targets}), min_size=1, max_size=3)
    return st.one_of(
        targets,
        _some({"condition": _expressions, "if_true": targets, "if_false": targets}),
        _some({"switch": cases}, default=targets),
        _some({"each": cases}, default=targets),
        _some(
            {"map": _with_sign | st.lists(_plain, max_size=3), "to": targets},
            **{
                "as": st.sampled_from(["item", "it"]),
                "join": target,
                "collect": _values,
                "max_parallel": _counts | st.just("= notes"),
                "tolerated_failures": st.integers(0, 9) | st.integers(0, 100).map("{}%".format) | st.just("= notes"),
            },
        ),
    )


def _human(target: Any) -> st.SearchStrategy[Any]:
    names = st.lists(_words, max_size=2)
    return _some(
        {"title": _words.filter(str.strip), "due_s": _seconds},
        instructions=_text,
        form=st.just({"type": "object"}),
        assignees=_some(users=names, roles=st.lists(st.sampled_from(ROLES), max_size=2), groups=names),
        quorum=_counts,
        on_due=target | json_values.map(lambda answer: {"answer": answer}),
    )


def _wait(targets: Any) -> st.SearchStrategy[Any]:
    moments = st.sampled_from(["2026-12-24T18:00:00+01:00", "= due_at"])
    pauses = st.integers(0, 60) | st.just("= delay")
    entry = st.one_of(
        _some({"seconds": pauses}, next=targets),
        _some({"until": moments}, next=targets),
        _some({"signal": _words}, next=targets),
    )
    return st.one_of(
        st.fixed_dictionaries({"seconds": pauses}),
        st.fixed_dictionaries({"until": moments}),
        _some({"signal": _words, "timeout_s": _seconds}, on_timeout=targets),
        st.fixed_dictionaries({"any": st.lists(entry, min_size=1, max_size=3)}),
    )


def _node(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    target = st.sampled_from([*names, "end"])
    targets = target | st.lists(target, min_size=1, max_size=3)
    everywhere: dict[str, Any] = {
        "label": _words,
        "description": _text,
        "metadata": _objects,
        "position": _some({"x": st.integers(-500, 500), "y": st.sampled_from([0.5, 3.0, -1])}),
        "outputs": _values,
        "next": _routes(target, targets),
        "join": st.sampled_from(["all", "any"]) | _some({"count": _counts}, rest=st.sampled_from(["cancel", "ignore"])),
        "on_error": targets
        | st.lists(
            _some({"match": _words | st.lists(_words, min_size=1, max_size=2), "to": targets}), min_size=1, max_size=2
        )
        | st.just([{"match": "ValueError", "to": names[0]}, {"to": "end"}]),
    }
    errors = st.lists(_words, max_size=2)
    retry = partial(
        _some,
        max_attempts=_counts,
        initial_interval_s=_seconds,
        backoff_factor=st.integers(1, 5),
        max_interval_s=_seconds,
        jitter=st.booleans(),
        on_exhausted=st.sampled_from(["fail", "pause"]),
    )
    called: dict[str, Any] = {
        "inputs": _values,
        "retry": retry(on=errors) | st.tuples(retry({"on": errors}), retry(on=errors)).map(list),
        "timeout_s": _seconds,
        "deadline_s": _seconds,
        "lock": _words | st.just("= notes"),
        "compensate": _words | _some({"tool": _words}, inputs=_values),
    }
    tool: dict[str, Any] = {
        **everywhere,
        **called,
        "heartbeat_timeout_s": _seconds,
        "cache": _some({"ttl_s": _seconds}, key=_with_sign),
        "executor": st.sampled_from(["inline", "thread", "process", "cluster"]),
        "next": everywhere["next"] | _some({"dynamic": st.lists(target, min_size=1, max_size=3)}),
    }
    return st.one_of(
        _some({"tool": _words}, **tool),
        _some({"graph": st.sampled_from(["child", "child@7", "child@latest", "= notes"])}, **everywhere, **called),
        _some({"human": _human(target)}, **everywhere),
        _some({"wait": _wait(targets)}, **everywhere),
        _some(**everywhere),
    )


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """A random definition of one to four nodes that keeps the grammar."""
    names = ["a", "b_1", "_c", "d.e-f"][: draw(st.integers(1, 4))]
    nodes = {name: draw(_node(names)) for name in draw(st.permutations(names))}
    return draw(
        _some(
            {"name": _words.filter(str.strip), "start_node": st.sampled_from(names), "nodes": st.just(nodes)},
            description=_text,
            state=_some(
                schema=st.just({"type": "object", "properties": {"score": {"type": "number"}}}),
                defaults=st.dictionaries(_keys, json_values, max_size=2),
                reducers=st.dictionaries(_keys, st.sampled_from(["append", "add", "replace", "custom"]), max_size=2),
            ),
            on_failure=st.sampled_from(["drain", "stop"]),
            limits=_some(
                max_steps=_counts,
                max_iterations=_counts,
                max_parallel=_counts,
                timeout_s=st.none() | _seconds,
                max_depth=_counts,
            ),
            durability=st.sampled_from(["sync", "async", "exit"]),
            retention=_some({"days": st.integers(1, 36_500)}, keep_last=_counts, statuses=_final_statuses),
            concurrency=_some(
                {"limit": _counts},
                per=st.sampled_from(["graph", "business_key"]),
                on_conflict=st.sampled_from(["enqueue", "reject", "replace"]),
            ),
            metadata=_objects,
        )
    )
