"""How contestants are called, and who wins: sentences that are made of the numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from kshot.fewshot.adapters import adapters
from kshot.pipeline.study.jobs import Row
from kshot.pipeline.study.statistics import Case, Interval, ratio

KSHOT = "kshot"
CHOOSES = "kshot (chooses inside the K)"

QUANTITIES = {"energy": "meV", "forces": "meV/Å"}
TESTS = {
    "test-same": "a fresh trajectory of a conformer that the shots visit",
    "test-conformer": "a conformer that the shots do not start from",
    "test-hot": "the same molecule at 500 K",
    "test-stereo": "a stereoisomer that the shots do not have",
    "test": "other trajectories than the shots",
}


class Score(NamedTuple):
    """The numbers of labels at which kshot's errors are smaller, larger, or not told apart."""

    wins: list[int]
    losses: list[int]
    open: list[int]


def methods_of(rows: Sequence[Row]) -> list[str]:
    """Return the contestants there are, in the order of the tables."""
    return ordered({str(row["method"]) for row in rows})


def ordered(methods: Collection[str]) -> list[str]:
    """Return methods in the order of the tables."""
    known = [KSHOT, *reversed([*adapters])]
    return [*(name for name in known if name in methods), *sorted(set(methods) - set(known))]


def called(method: str) -> str:
    """Return what the tables call a method; contestants that are no adapters go by their names."""
    if method == KSHOT:
        return CHOOSES
    if method not in adapters:
        return method
    adapter = adapters.get(method)
    return adapter.title + " (plain baseline)" * adapter.baseline


def score(rows: Sequence[Row], method: str, test: str, quantity: str) -> Score:
    """Return where kshot wins and loses against a method; an interval that holds 1 is neither."""
    result = Score([], [], [])
    for k in shots_of(rows, method):
        found = ratio(rows, method, KSHOT, Case(test, k, quantity))
        if np.isfinite(found.mean):
            result[verdict(found)].append(k)
    return result


def verdict(found: Interval) -> int:
    """Return the place in `Score` of a ratio: 0 if it is above 1, 1 if below, 2 if neither."""
    if found.low > 1:
        return 0
    return 1 if found.high < 1 else 2


def sentences(rows: Sequence[Row], test: str) -> list[str]:
    """Return a line for each contestant that says where kshot wins and where it loses."""
    lines = []
    for method in methods_of(rows):
        if method == KSHOT:
            continue
        parts = []
        for quantity in QUANTITIES:
            result = score(rows, method, test, quantity)
            told = [
                f"{words} at K = {', '.join(map(str, shots))}"
                for words, shots in zip(
                    ("kshot is better", "kshot is worse", "no difference is shown"),
                    result,
                    strict=True,
                )
                if shots
            ]
            if told:
                parts.append(f"{quantity}: {'; '.join(told)}")
        if parts:
            lines.append(f"- against {called(method)}: {'. '.join(parts)}.")
    return lines


def shots_of(rows: Sequence[Row], method: str | None = None) -> list[int]:
    """Return the numbers of labels that a method, or any, has been run with."""
    return sorted({int(row["k"]) for row in rows if method in {None, row["method"]}})


def tests_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of the test sets, the nearest to the shots first."""
    there = {str(row["test"]) for row in rows}
    return [*(name for name in TESTS if name in there), *sorted(there - set(TESTS))]


def number(found: Interval, digits: int = 1) -> str:
    """Return a mean with its interval; nothing if there is no mean."""
    if not np.isfinite(found.mean):
        return ""
    text = f"{found.mean:.{digits}f}"
    if np.isfinite(found.low):
        text += f" [{found.low:.{digits}f}, {found.high:.{digits}f}]"
    return text
