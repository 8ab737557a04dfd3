"""Telling the world that a run is over.

    POST /api/v1/runs/ {"webhook": …}   the row is created with the run, in one transaction
      └─ the run ends                   and the row is due
           └─ delivering                some cluster claims it, posts it, and notes what came of that
                ├─ body                 what is told, and its signature
                └─ sending              one request to an address that may be reached

A delivery is made at least once: whoever dies after the request and before the note makes it come again, under the
same id. The request is made without a transaction, in a thread that drives nothing.
"""
