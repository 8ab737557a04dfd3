"""Sets of write numbers, in memory as the bits of an int and in snapshots as JSON.

A mask is closed under causes: with a write it holds that write's past. So a snapshot names the newest write in it whose
past is known and adds only what is not in that past; for a branch that goes on by itself that is one number a write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Mask = int
Data = list[Any]
_RUN_CHARS = 14
"""About what one run of numbers takes as JSON."""


def bits(mask: Mask) -> Iterator[int]:
    """The members, lowest first."""
    text = bin(mask)[:1:-1]  # taking bits off the int would copy all of it for each
    number = text.find("1")
    while number >= 0:
        yield number
        number = text.find("1", number + 1)


def members(mask: Mask, numbers: Iterable[int]) -> list[int]:
    """Those of the numbers that are in the mask, in the order given."""
    text = bin(mask)[:1:-1]
    end = len(text)
    return [number for number in numbers if number < end and text[number] == "1"]


class MaskCodec:
    """Masks to JSON and back. `pasts` are those of the writes, by number; 0 where it is not kept."""

    def __init__(self, pasts: Sequence[Mask]) -> None:
        self._pasts = pasts
        self._anchors = sum(1 << number for number, past in enumerate(pasts) if past)

    def to_data(self, mask: Mask, below: int | None = None) -> Data:
        """[anchor or -1, the rest]. The anchor of a write's own past is a write `below` it."""
        anchors = mask & self._anchors
        if below is not None:
            anchors &= (1 << below) - 1
        anchor = anchors.bit_length() - 1
        rest = mask if anchor < 0 else mask & ~self._pasts[anchor]
        runs = [end for run in _runs(rest) for end in run]
        return [anchor, f"{rest:x}" if len(runs) * _RUN_CHARS > rest.bit_length() // 2 else runs]


def mask_from_data(data: Data, pasts: Sequence[Mask]) -> Mask:
    anchor, rest = data
    mask = pasts[anchor] if anchor >= 0 else 0
    if isinstance(rest, str):
        return mask | int(rest, 16)
    for start, stop in zip(rest[::2], rest[1::2], strict=True):
        mask |= (1 << stop) - (1 << start)
    return mask


def _runs(mask: Mask) -> Iterator[tuple[int, int]]:
    """The maximal runs of members, as (first, one past the last)."""
    start = 0
    while mask:
        gap = (mask & -mask).bit_length() - 1
        mask >>= gap
        length = (~mask & (mask + 1)).bit_length() - 1
        mask >>= length
        yield start + gap, start + gap + length
        start += gap + length
