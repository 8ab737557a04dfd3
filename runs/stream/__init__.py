"""The live stream of a run: its journal, followed.

One hub a web process watches the runs that somebody follows. The bell, and a slow poll behind it, says which of them
have new entries; the hub reads those once, encodes them once, and keeps the last few frames of each run. A follower is
only a position: it takes the next frame when its client has room for one, from those kept or else from the database.
So a backlog and the live end are one path without a gap, and a slow client costs a cursor and not a queue.
"""
