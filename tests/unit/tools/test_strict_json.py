import enum
import json
import math
import threading
from collections import OrderedDict, defaultdict, namedtuple
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.strict_json import INTEGER_MAX, INTEGER_MIN, JsonInvalid, _Walk, dumps, encode, parse, pointer, thaw

LIMITS = {"max_bytes": 10_000, "max_depth": 64}


def refusal(call, value, **limits):
    with pytest.raises(JsonInvalid) as caught:
        call(value, **(LIMITS | limits))
    error = caught.value
    assert [(detail.code, detail.path) for detail in error.details] == [(error.code, error.path)]
    assert error.message.endswith(".")
    error.message.encode()
    return error.code, error.path


def nested(depth, opening="[", closing="]"):
    return opening * depth + closing * depth


# ------------------------------------------------------------------ texts from outside


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        ("NaN", "json-number-range", ""),
        ('{"a": [1, Infinity]}', "json-number-range", "/a/1"),
        ("[-Infinity]", "json-number-range", "/0"),
        ('{"a": 1e999}', "json-number-range", "/a"),
        ("[-1E+0400]", "json-number-range", "/0"),
        ("[" + "9" * 400 + ".5]", "json-number-range", "/0"),
        ('{"n": 9223372036854775808}', "json-integer-range", "/n"),
        ("[-9223372036854775809]", "json-integer-range", "/0"),
        ("[0, " + "9" * 5_000 + "]", "json-integer-range", "/1"),
        (r'{"s": "a\u0000"}', "json-nul", "/s"),
        (r'{"o": {"\u0000": 1}}', "json-nul", "/o"),
        (r'["\ud800"]', "json-surrogate", "/0"),
        (r'["\uDFFF tail"]', "json-surrogate", "/0"),
        (r'{"\udc00": 1}', "json-surrogate", ""),
        ('{"a": 1, "a": 1}', "json-duplicate-key", "/a"),
        ('{"x": [{"a/b~": 1, "c": 2, "a/b~": 3}]}', "json-duplicate-key", "/x/0/a~1b~0"),
        (r'{"\ud800": 1, "\ud800": 2}', "json-surrogate", ""),
        ('{"a": 1, "a": ' + "9" * 5_000 + "}", "json-duplicate-key", "/a"),
        (nested(65), "json-too-deep", "/0" * 64),
        ('{"k": ' * 65 + "1" + "}" * 65, "json-too-deep", "/k" * 64),
        (nested(5_000), "json-too-deep", "/0" * 64),
        ('[1, {"a": [0, [1], {}], "b": [2, "}", ' + nested(4_500) + "]}]", "json-too-deep", "/1/b/2" + "/0" * 61),
        ('{"' + r"\"}" + '": ' + nested(4_000) + "}", "json-too-deep", '/"}' + "/0" * 63),
        ("", "json-syntax", ""),
        ("[1,]", "json-syntax", ""),
        ("{'a': 1}", "json-syntax", ""),
        ("[1] 2", "json-syntax", ""),
        ("01", "json-syntax", ""),
        ('"\x00"', "json-syntax", ""),
        ('"a\nb"', "json-syntax", ""),
        ('{"a": NaN,', "json-syntax", ""),
        ("[" * 60, "json-syntax", ""),
        (b"\xff", "json-encoding", ""),
        ('"caf\u00e9"'.encode("latin-1"), "json-encoding", ""),
        (b"\xed\xa0\x80", "json-encoding", ""),
        ('"\ud800"', "json-encoding", ""),
        (b"\xef\xbb\xbf{}", "json-encoding", ""),
        ('"\N{EURO SIGN}"'.encode("utf-16"), "json-encoding", ""),
    ],
)
def test_a_hostile_text_is_refused_with_code_and_path(text, code, path):
    assert refusal(parse, text) == (code, path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9223372036854775807", INTEGER_MAX),
        ("-9223372036854775808", INTEGER_MIN),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("0.1e0000001", 1.0),
        ("1234567890123456789012.5", 1234567890123456789012.5),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\\u0000"', "\\u0000"),
        (r'"\\ud800"', "\\ud800"),
        (r'{"a": "\u00e9"}', {"a": "é"}),
        ('{"a": {"a": {"a": 1}}}', {"a": {"a": {"a": 1}}}),
        ('"12345678901234567890"', "12345678901234567890"),
        (nested(64), json.loads(nested(64))),
        ("[" + "[]," * 200 + "[]]", [[]] * 201),
        (" \r\n\t[true, false, null] ", [True, False, None]),
        (b'"\xc3\xa9"', "é"),
    ],
)
def test_an_unusual_but_good_text_is_read(text, value):
    assert parse(text, **LIMITS) == value


def test_a_text_is_limited_in_utf8_bytes():
    text = '"' + "é" * 10 + '"'
    assert parse(text, max_bytes=22, max_depth=1) == "é" * 10
    assert parse(text.encode(), max_bytes=22, max_depth=1) == "é" * 10
    assert refusal(parse, text, max_bytes=21) == ("json-too-large", "")
    assert refusal(parse, text.encode(), max_bytes=21) == ("json-too-large", "")


def test_depth_is_allowed_up_to_the_limit_and_refused_past_it():
    assert parse("1", max_bytes=9, max_depth=1) == 1
    assert parse("[]", max_bytes=9, max_depth=1) == []
    assert refusal(parse, "[[]]", max_depth=1) == ("json-too-deep", "/0")
    assert refusal(parse, '[1, {"a": {"b": {}}}]', max_depth=3) == ("json-too-deep", "/1/a/b")


def test_a_syntax_error_names_line_and_column():
    with pytest.raises(JsonInvalid, match=r"at line 2, column 7"):
        parse('{"a": 1,\n "b": oops}', **LIMITS)


def test_many_repeated_keys_are_refused_in_linear_time():
    keys = ",".join(f'"{number}": 1' for number in range(200_000))
    assert refusal(parse, f'{{{keys}, "199999": 1}}', max_bytes=10**8) == ("json-duplicate-key", "/199999")


def test_the_message_shows_only_the_start_of_a_long_path():
    with pytest.raises(JsonInvalid) as caught:
        parse('{"' + "k" * 5_000 + '": NaN}', **LIMITS)
    assert len(caught.value.message) < 300
    assert len(caught.value.path) == 5_001


# ------------------------------------------------------------------ values from tools


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Metres(float):
    pass


class Name(str):
    pass


Point = namedtuple("Point", "x y")


def cycle_of_lists():
    value = []
    value.append([value])
    return value


def deep_list(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "code", "path"),
    [
        (math.nan, "json-number-range", ""),
        ({"a": [0.5, math.inf]}, "json-number-range", "/a/1"),
        ({"n": 2**63}, "json-integer-range", "/n"),
        ([-(2**63) - 1], "json-integer-range", "/0"),
        ([10**5_000], "json-integer-range", "/0"),
        ({"s": ["a\x00"]}, "json-nul", "/s/0"),
        ({"a": {"\x00": 1}}, "json-nul", "/a"),
        (["\ud800"], "json-surrogate", "/0"),
        (["\ud83d\ude00"], "json-surrogate", "/0"),
        ({"\udfff": 1}, "json-surrogate", ""),
        ({1: "a"}, "json-key-type", ""),
        ({"a": [{None: 1}]}, "json-key-type", "/a/0"),
        ({True: 1, "b": 2}, "json-key-type", ""),
        ({("a", "b"): 1}, "json-key-type", ""),
        ({"a": {1, 2}}, "json-type", "/a"),
        (b"bytes", "json-type", ""),
        ([date(2026, 1, 1)], "json-type", "/0"),
        ({"price": Decimal("1.5")}, "json-type", "/price"),
        ({"lock": threading.Lock()}, "json-type", "/lock"),
        ([object], "json-type", "/0"),
        (iter([1]), "json-type", ""),
        ({"a": 1}.keys(), "json-type", ""),
        (cycle_of_lists(), "json-cycle", "/0/0"),
        (deep_list(65), "json-too-deep", "/0" * 64),
        (deep_list(100_000), "json-too-deep", "/0" * 64),
        ("x" * 10_000, "json-too-large", ""),
        (("x" * 10_000,), "json-too-large", ""),
        (list(range(10_000)), "json-too-large", ""),
    ],
)
def test_a_value_that_json_cannot_hold_is_refused_with_code_and_path(value, code, path):
    assert refusal(encode, value) == (code, path)


def test_a_cycle_through_an_object_is_refused():
    value = {"a": {}}
    value["a"]["back"] = value
    assert refusal(encode, value) == ("json-cycle", "/a/back")


def test_a_container_that_is_used_twice_is_no_cycle():
    shared = [1]
    assert encode({"a": shared, "b": (shared, shared)}, **LIMITS)[1] == {"a": [1], "b": [[1], [1]]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ((), "[]"),
        ((1, (2,)), "[1,[2]]"),
        (Point(1, 2), "[1,2]"),
        (Colour.RED, '"red"'),
        ({Colour.RED: [Level.HIGH]}, '{"red":[3]}'),
        ({Colour.RED: (Level.HIGH, Metres(1.5), Name("n"), True)}, '{"red":[3,1.5,"n",true]}'),
        (OrderedDict(b=1, a=2), '{"a":2,"b":1}'),
        (defaultdict(list, {"k": [()]}), '{"k":[[]]}'),
        ([INTEGER_MAX, INTEGER_MIN], "[9223372036854775807,-9223372036854775808]"),
        ([0.1, 1e300, -0.0, 5e-324, 1.0], "[0.1,1e+300,-0.0,5e-324,1.0]"),
        ("\\u0000", r'"\\u0000"'),
        ('\x01\t"é😀\u2028', '"\\u0001\\t\\"é😀\u2028"'),
        (deep_list(64), nested(64)),
    ],
)
def test_a_good_value_becomes_canonical_text_and_a_plain_copy(value, text):
    written, plain = encode(value, **LIMITS)
    assert written == text
    assert dumps(plain) == text
    assert is_plain(plain)


def is_plain(value):
    if type(value) is dict:
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return type(value) in {str, int, float, bool, type(None)}


def test_the_size_of_a_value_is_that_of_its_utf8_text():
    assert encode("é" * 10, max_bytes=22, max_depth=1)[0] == '"' + "é" * 10 + '"'
    assert refusal(encode, "é" * 10, max_bytes=21) == ("json-too-large", "")
    assert encode(None, max_bytes=4, max_depth=1) == ("null", None)
    assert refusal(encode, None, max_bytes=3) == ("json-too-large", "")


def test_the_copy_shares_nothing_with_the_value():
    value = {"a": [1]}
    _, plain = encode(value, **LIMITS)
    value["a"].append(2)
    assert plain == {"a": [1]}


def test_thaw_copies_lists_and_objects_at_every_depth():
    value = {"a": [{"b": []}], "c": "text", "d": {}}
    copy = thaw(value)
    assert copy == value
    copy["a"][0]["b"].append(1)
    copy["d"]["x"] = 1
    assert value == {"a": [{"b": []}], "c": "text", "d": {}}
    assert thaw("scalar") == "scalar"


# ------------------------------------------------------------------ properties

characters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(INTEGER_MIN, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | characters
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(characters, inner, max_size=4), max_leaves=12
)
hostile_scalars = (
    scalars | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from([{1}, b"", "\\u0000", "\x00"])
)
hostile_keys = st.text(max_size=2) | st.integers(0, 2) | st.none()
hostile_values = st.recursive(
    hostile_scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(hostile_keys, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(documents)
def test_what_is_encoded_is_parsed_as_the_same_value(value):
    text, plain = encode(value, **LIMITS)
    assert plain == value
    assert parse(text, **LIMITS) == plain
    assert parse(json.dumps(value), **LIMITS) == plain
    assert encode(parse(text, **LIMITS), **LIMITS) == (text, plain)
    assert thaw(plain) == plain


@given(hostile_values)
def test_the_quick_way_and_the_walk_agree(value):
    try:
        expected = _Walk(4).plain(value)
    except JsonInvalid as error:
        assert refusal(encode, value, max_depth=4) == (error.code, error.path)
    else:
        text, plain = encode(value, max_bytes=10_000, max_depth=4)
        assert (text, repr(plain)) == (dumps(expected), repr(json.loads(dumps(expected))))


@given(st.text(st.sampled_from('[]{},:"\\u0d8Ee+-.19 atrufls\x00é\ud800'), max_size=30))
def test_any_text_is_either_read_as_json_reads_it_or_refused(text):
    try:
        value = parse(text, **LIMITS)
    except JsonInvalid:
        return
    assert value == json.loads(text)
    assert encode(value, **LIMITS)[1] == value


@given(hostile_values)
def test_what_a_lenient_writer_writes_is_read_or_refused_alike(value):
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        return
    try:
        expected = _Walk(4).plain(json.loads(text))
    except JsonInvalid as error:
        assert refusal(parse, text, max_depth=4)[0] in {error.code, "json-duplicate-key"}
        return
    try:
        assert parse(text, max_bytes=10_000, max_depth=4) == expected
    except JsonInvalid as error:
        assert error.code == "json-duplicate-key"


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ((), ""),
        (("nodes", "a", 0), "/nodes/a/0"),
        (("",), "/"),
        (("a/b", "~1", "~"), "/a~1b/~01/~0"),
        (("\ud800",), "/?"),
    ],
)
def test_a_pointer_escapes_what_would_be_taken_for_a_step(path: tuple[str | int, ...], written: str) -> None:
    assert pointer(*path) == written
