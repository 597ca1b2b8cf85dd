"""Ctrl-C while labels are made: what is paid for is kept before anything ends."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event; the second one interrupts as usual.

    Only the main thread can do so; elsewhere the event never comes.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    usual = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()
        signal.signal(signal.SIGINT, usual)
        sys.stderr.write("\nkshot: ending after the label in hand; Ctrl-C again drops it\n")

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, usual)
