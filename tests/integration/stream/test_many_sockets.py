"""One run with many watchers."""

from contextlib import ExitStack

from runs.models import Run
from tests.integration.stream.scribe import Scribe
from tests.integration.stream.server import Server, receive_all, seqs

SOCKETS = 50
WRITES = 40


def test_fifty_sockets_get_every_event_once_and_in_order(server: Server, run: Run, scribe: Scribe, key: str) -> None:
    scribe.write(5)
    with ExitStack() as stack:
        sockets = [stack.enter_context(server.watch(run.uuid, "?after=0", key=key)) for _ in range(SOCKETS)]
        for number in range(WRITES):
            scribe.write(1 + number % 3)
        last = scribe.finish()
        for socket in sockets:
            *messages, end = receive_all(socket)
            assert seqs(messages) == list(range(1, last + 1))
            assert end == {"type": "end", "status": "completed", "seq": last}
            assert socket.close_code == 1000
