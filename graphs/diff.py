"""What is different between two definitions, place by place. Pure: plain JSON in, values out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tools.strict_json import Json, dumps, pointer


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place that differs. `path` is its JSON Pointer; a list differs as a whole, since its order has a meaning."""

    path: str
    change: Literal["added", "removed", "changed"]
    old: Json = None
    new: Json = None


def differences(old: Json, new: Json) -> list[Difference]:
    """What has to change in `old` to make it `new`, sorted by path."""
    return sorted(_differences(old, new, ""), key=lambda difference: difference.path)


def _differences(old: Json, new: Json, path: str) -> Iterator[Difference]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        if not _same(old, new):
            yield Difference(path=path, change="changed", old=old, new=new)
        return
    for key in old.keys() | new.keys():
        place = path + pointer(key)
        if key not in new:
            yield Difference(path=place, change="removed", old=old[key])
        elif key not in old:
            yield Difference(path=place, change="added", new=new[key])
        else:
            yield from _differences(old[key], new[key], place)


def _same(old: Json, new: Json) -> bool:
    """Equal as JSON, where `1`, `1.0` and `true` are three values."""
    return dumps(old) == dumps(new)
