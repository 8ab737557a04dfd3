import pytest

from runs.driver.process.frames import FrameInvalid, Unpacker, pack

MESSAGES = [{"type": "log", "n": 1}, {"é": [1, None, "x" * 300]}]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_messages_arrive_whole_in_whatever_pieces(size):
    data = b"".join(map(pack, MESSAGES))
    unpacker = Unpacker(max_bytes=1000)
    pieces = [data[index : index + size] for index in range(0, len(data), size)]
    assert [message for piece in pieces for message in unpacker.feed(piece)] == MESSAGES


def test_a_message_at_the_limit_passes_and_one_byte_more_is_refused():
    data = pack(MESSAGES[0])
    size = len(data) - 4
    assert list(Unpacker(max_bytes=size).feed(data)) == MESSAGES[:1]
    with pytest.raises(FrameInvalid, match="at most"):
        list(Unpacker(max_bytes=size - 1).feed(data))


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"n":NaN}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body):
    with pytest.raises(FrameInvalid):
        list(Unpacker(max_bytes=200_000).feed(len(body).to_bytes(4, "big") + body))
