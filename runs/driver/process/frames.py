"""Messages over a stream of bytes: four bytes of length, then that much JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from tools import strict_json
from tools.strict_json import Json

_LENGTH = struct.Struct(">I")


class FrameInvalid(Exception):
    """The other side does not keep to the protocol: something else wrote to its end."""


def pack(message: dict[str, Json]) -> bytes:
    """The bytes of a message."""
    data = strict_json.dumps(message).encode()
    return _LENGTH.pack(len(data)) + data


class Unpacker:
    """Makes messages of the pieces in which they arrive."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces = bytearray()

    def feed(self, piece: bytes) -> Iterator[dict[str, Json]]:
        """Yield the messages that are complete with this piece. Raises FrameInvalid."""
        self._pieces += piece
        begin = 0
        while (end := self._end_of_frame(begin)) <= len(self._pieces):
            yield _load(self._pieces[begin + _LENGTH.size : end])
            begin = end
        del self._pieces[:begin]

    def _end_of_frame(self, begin: int) -> int:
        body = begin + _LENGTH.size
        if len(self._pieces) < body:
            return body
        (size,) = _LENGTH.unpack_from(self._pieces, begin)
        if size > self._max_bytes:
            raise FrameInvalid(f"A message of {size:,} bytes was announced; at most {self._max_bytes:,} are allowed.")
        return body + size


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is no JSON number")


def _load(data: bytearray) -> dict[str, Json]:
    try:
        message = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FrameInvalid(f"A message is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise FrameInvalid("A message is no JSON object.")
    return message
