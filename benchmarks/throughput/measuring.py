"""How both sides take time and say what they found; standard library only.

A side prints one line of JSON per row, so that what a killed process has measured is kept.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import sizes

LONGEST_WARM_UP = 3.0  # times the seconds of a measurement


def arguments(description: str) -> argparse.ArgumentParser:
    """Return what both sides understand."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("problem", type=Path, help="what problem.py wrote")
    parser.add_argument("--size", choices=list(sizes.SIZES), required=True)
    parser.add_argument("--batches", type=int, nargs="*", default=[])
    parser.add_argument("--molecules", nargs="*", default=[], help="of molecular dynamics")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds of the process")
    parser.add_argument("--weights", type=Path, help="an npz: mace-torch writes, kshot reads it")
    parser.add_argument("--tf32", action="store_true", help="matrix products in TF32")
    return parser


def calls_per_second(
    call: Callable[[int], object], wait: Callable[[], object], seconds: float, again: int
) -> list[float]:
    """Return the rate of each round.

    Args:
        call: begins a call; it is given how many there were before.
        wait: returns when the device has nothing left to do.
        seconds: of all rounds together; warming up takes three times as long at most, or three
            calls. (TorchScript compiles anew for the first shapes that it meets.)
        again: so many calls are different; each is met twice before the first round, time allowing.
    """
    begun, done = time.perf_counter(), 0
    longest = LONGEST_WARM_UP * seconds
    while done < 3 or (done < 2 * again and time.perf_counter() - begun < longest):
        before = time.perf_counter()
        call(done)
        wait()
        done += 1
    steps = max(1, math.ceil(seconds / sizes.ROUNDS / (time.perf_counter() - before)))
    rates = []
    for _ in range(sizes.ROUNDS):
        before = time.perf_counter()
        for _ in range(steps):
            call(done)
            done += 1
        wait()
        rates.append(steps / (time.perf_counter() - before))
    return rates


def say(**row: object) -> None:
    """Print a row."""
    print(json.dumps(row), flush=True)


def reason(error: BaseException) -> str:
    """Return in a few words why a measurement failed."""
    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0][:160]}"
    memory = ("RESOURCE_EXHAUSTED", "out of memory", "OutOfMemory")
    return "out of memory" if any(word in text for word in memory) else text


def attempt(measure: Callable[[], dict], **about: object) -> None:
    """Print the row that a measurement returns, or why there is none."""
    try:
        row = measure()
    except Exception as error:  # noqa: BLE001 - whatever it is, the next measurement goes on
        row = {"missing": reason(error)}
    say(**about, **row)
