"""What a tool's parts are to the tool itself; how they are kept is the driver's business."""

import asyncio
from concurrent.futures import Future
from contextlib import suppress

import pytest

from tools import Context, Parts
from tools.errors import PartInvalid
from tools.parts import Interrupt, PartLimits, interrupt_in
from tools.strict_json import JsonInvalid


def of(recorded=None, **limits) -> Context:
    return Context(parts=Parts(recorded, limits=PartLimits(**limits)))


def refuse():
    raise AssertionError("it is recorded")


async def refuse_async():
    refuse()


def test_a_step_gives_what_its_function_gives():
    assert Context().step("add", lambda a, b=0: a + b, 1, b=2) == 3


def test_a_recorded_step_is_not_called_again():
    assert of({"add": 3}).step("add", refuse) == 3


def test_a_coroutine_awaits_functions_of_both_kinds():
    async def double(n: int) -> int:
        return 2 * n

    async def tool(ctx: Context) -> list:
        both = [await ctx.step("a", double, 1), await ctx.step("b", lambda: 3)]
        return [
            *both,
            await ctx.step("c", refuse_async),
            *await asyncio.gather(*[ctx.step(str(n), double, n) for n in (4, 5)]),
        ]

    assert asyncio.run(tool(of({"c": None}))) == [2, 3, None, 8, 10]


def test_the_value_is_plain_json_from_the_first_time_on():
    assert of().step("pair", lambda: {"pair": (1, 2)}) == {"pair": [1, 2]}


def test_what_a_tool_does_to_a_value_stays_in_the_tool():
    kept: dict = {}

    def record(name, value) -> Future:
        kept[name] = value
        future: Future = Future()
        future.set_result(None)
        return future

    recorded = {"old": [1]}
    ctx = Context(parts=Parts(recorded, record=record))
    ctx.step("new", lambda: [1]).append(2)
    ctx.step("old", refuse).append(2)
    assert (kept, recorded) == ({"new": [1]}, {"old": [1]})


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(JsonInvalid):
        Context().step("set", lambda: {1})


@pytest.mark.parametrize("again", [lambda ctx: ctx.step("x", refuse), lambda ctx: ctx.interrupt("?", name="x")])
def test_a_name_is_used_once_in_an_attempt(again):
    ctx = of({"x": 1})
    ctx.step("x", refuse)
    with pytest.raises(PartInvalid, match=r'used twice in one attempt.*f"x-\{i\}"'):
        again(ctx)


def test_a_step_that_failed_has_used_its_name():
    ctx = Context()
    with pytest.raises(ZeroDivisionError):
        ctx.step("x", lambda: 1 / 0)
    with pytest.raises(PartInvalid, match="used twice"):
        ctx.step("x", lambda: 1)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", 7])
def test_a_name_is_one_line_of_text(name):
    with pytest.raises(PartInvalid, match="cannot be called"):
        Context().step(name, refuse)


def test_a_step_has_as_many_parts_as_are_allowed_and_the_function_of_one_more_is_not_called():
    ctx = of({"a": 1}, max_parts=2)
    ctx.step("b", lambda: 2)
    assert ctx.step("a", refuse) == 1
    with pytest.raises(PartInvalid, match="may have 2"):
        ctx.step("c", refuse)


def test_a_part_is_as_large_as_is_allowed():
    assert of(max_part_bytes=5).step("x", lambda: "123") == "123"
    with pytest.raises(JsonInvalid):
        of(max_part_bytes=5).step("x", lambda: "1234")


def test_all_parts_together_are_as_large_as_is_allowed():
    assert of({"a": "é"}, max_bytes=7).step("b", lambda: "1") == "1"
    with pytest.raises(PartInvalid, match="have 8 bytes; the limit is 7"):
        of({"a": "é"}, max_bytes=7).step("b", lambda: "12")


def test_a_plain_tool_cannot_have_an_async_step():
    with pytest.raises(PartInvalid, match="make the tool async"):
        Context().step("x", refuse_async)


def test_an_interrupt_passes_a_handler_of_exceptions_and_carries_the_question():
    with pytest.raises(Interrupt) as raised, suppress(Exception):
        Context().interrupt("Sure?", {"type": "boolean"}, assignees={"roles": ("owner",)}, due_s=60, default=False)
    assert raised.value.name == "interrupt-1"
    assert raised.value.question == {
        "title": "Sure?",
        "form": {"type": "boolean"},
        "assignees": {"roles": ["owner"]},
        "quorum": 1,
        "due_s": 60,
        "on_due": {"answer": False},
    }


def test_interrupts_are_told_apart_by_their_order_or_by_name():
    ctx = of({"interrupt-1": True, "why": "so"})
    assert (ctx.interrupt("Sure?"), ctx.interrupt("Why?", name="why")) == (True, "so")
    with pytest.raises(Interrupt, match="interrupt-2"):
        ctx.interrupt("Really?")


def test_an_interrupt_is_found_in_what_a_task_group_raises():
    one, two = Interrupt("one", {}), Interrupt("two", {})
    assert interrupt_in(one) is one
    assert interrupt_in(BaseExceptionGroup("", [BaseExceptionGroup("", [one]), two])) is one
    assert interrupt_in(BaseExceptionGroup("", [one, ValueError()])) is None
    assert interrupt_in(ValueError()) is None
    assert interrupt_in(None) is None
