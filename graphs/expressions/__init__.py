"""Expressions: a small, safe subset of Python's, from a whitelist of syntax to closures. No Django.

**What may stand in one.** Numbers, strings, `true false null` (or Python's words), names, `a.b` and `a["b"]` (both look
up a key of a JSON object, never an attribute), `a[0]`, lists, `+ - * / // %`, comparisons, `in`, `is null`, `and or
not`, `x if c else y`, and calls of the functions in `FUNCTIONS`. Nothing else: what is not on the list is refused when
the expression is compiled, so there is nothing to escape from.

**What they mean.** As in Python, with fewer surprises: a missing name, key or position is an error (`exists(path)` and
`default(path, value)` look first); values of unlike types are never equal, and ordering them is an error; true and
false are not numbers; strings are added to strings only; no result is NaN or infinite. `and`, `or`, `not` and `if` take
empty values, zero and null as false, but what a condition gives must be true or false.

**What bounds them.** 2,000 characters, brackets and syntax 32 deep, 200 operations, 8 comparisons in a chain,
integers of 1,024 bits, strings of 10,000 characters. There are no loops and no powers, so the time is linear in the
values read, and all that one evaluation looks at is 500,000 elements at most (`work`).
"""

from graphs.expressions.compiler import Expression, Names, compile_condition, compile_expression
from graphs.expressions.errors import ExpressionError, ExpressionInvalid
from graphs.expressions.functions import FUNCTIONS
from graphs.expressions.templates import ValueTemplate, compile_value, expressions_in, is_expression

__all__ = [
    "FUNCTIONS",
    "Expression",
    "ExpressionError",
    "ExpressionInvalid",
    "Names",
    "ValueTemplate",
    "compile_condition",
    "compile_expression",
    "compile_value",
    "expressions_in",
    "is_expression",
]
