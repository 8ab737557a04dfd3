"""The one owner of the SQL behind a run: its journal, its steps, its head.

A step's write is one transaction of at most three statements (the run's head, the events, the step rows), made with
prebuilt SQL on a connection of its own: the ORM's compiler would cost more than the write. Every write names the
epoch and the seq that it continues; when the head does not match, another driver owns the run and nothing is written.
"""

from runs.store.base import ClaimedRun, Store, open_store
from runs.store.writes import Head, RunWrite, StepRow

__all__ = ["ClaimedRun", "Head", "RunWrite", "StepRow", "Store", "open_store"]
