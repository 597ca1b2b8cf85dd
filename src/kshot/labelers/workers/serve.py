"""The child's side: label what comes down the pipe until it closes.

Run as ``python -m kshot.labelers.workers.serve CONNECTION LIFELINE`` by `Child`, never by hand.
"""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing.connection import Connection

from kshot.atoms import Failure, Labeler
from kshot.labelers.ledger import Ledger
from kshot.labelers.outcome import Outcome, run
from kshot.labelers.workers.child import Order, Trouble


def main(connection_fd: int, lifeline_fd: int) -> None:
    """Serve one parent."""
    threading.Thread(target=die_with_parent, args=(lifeline_fd,), daemon=True).start()
    connection = Connection(connection_fd)
    try:
        order: Order = connection.recv()
        _limit_memory(order.memory_mb)
        ledger = None if order.ledger is None else Ledger(order.ledger, session=order.session)
        connection.send(None)
        while True:
            connection.send(_serve(connection, order.labeler, ledger))
    except EOFError:  # the parent closed the pipe: no more work
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        connection.send(Trouble.of(error))


def _serve(connection: Connection, labeler: Labeler, ledger: Ledger | None) -> Outcome:
    structure = connection.recv()
    try:
        outcome = run(labeler, structure)
    except MemoryError:
        outcome = Outcome(Failure("memory", "the engine's process may take no more"), 0.0)
    if ledger is not None:
        # Before anything else can go wrong: from here on no death of any process costs this label.
        ledger.put(structure, labeler.fingerprint, outcome.result, outcome.cost)
    return outcome


def die_with_parent(lifeline: int) -> None:
    """End at once when the parent does, however it ends: the pipe that it alone holds closes."""
    os.read(lifeline, 1)
    os._exit(1)


def _limit_memory(megabytes: float | None) -> None:
    if megabytes is None or sys.platform != "linux":
        return
    import resource

    size = int(megabytes * 2**20)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
