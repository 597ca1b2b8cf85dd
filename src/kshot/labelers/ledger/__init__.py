"""The ledger: one file of every label that was paid for, safe from crashes and shared by processes.

`store` is the file as its users see it, `schema` its tables, `claims` and `sessions` who runs
what, `durable` when a row is on the disk, `files` and `merge` how rows come and go.
"""

from kshot.labelers.ledger.claims import Claimed, Retry
from kshot.labelers.ledger.rows import Row
from kshot.labelers.ledger.store import Ledger

__all__ = ["Claimed", "Ledger", "Retry", "Row"]
