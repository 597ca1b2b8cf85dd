"""What a record may hold, checked before anything is drawn: all that is wrong at once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any

from kshot.core.errors import DataError

Check = Callable[[str, Any], list[str]]


def check(record: Mapping[str, Any]) -> None:
    """Raise unless a record has only keys that reports know, with values of their types.

    Args:
        record: every key is optional.

            - ``title``, ``summary``: text.
            - ``methods``: dicts of ``name``, ``energy_meV`` (RMSE per molecule, meV),
              ``force_meV_per_A`` (meV/Å), both with the ends of intervals (``…_low``, ``…_high``),
              ``baseline`` and ``chosen`` (whether it is).
            - ``curve``: dicts of ``K``, errors as above, ``extrapolated``.
            - ``parity``: ``energy`` (eV) and ``forces`` (eV/Å), each of ``label`` and any number of
              predictions by name, equally long.
            - ``forgetting``: ``before`` and ``after``: errors on anchors by names that hold their
              units.
            - ``md``: ``time_fs``, and ``energy_eV`` or ``temperature_K`` or both, equally long.
            - ``provenance``: anything that JSON holds.

    Raises:
        DataError: it does not; the message names every place.
    """
    if problems := _fields("", record, TOP):
        todo = "Correct these, or leave them out."
        raise DataError("a record that reports know", "; ".join(problems), todo)


def _fields(path: str, value: Any, known: Mapping[str, Check]) -> list[str]:  # noqa: ANN401
    if not isinstance(value, Mapping):
        return [f"{path or 'record'}: {type(value).__name__}, not a dict"]
    problems = []
    for key, inner in value.items():
        place = f"{path}.{key}" if path else str(key)
        if key in known:
            problems += known[key](place, inner)
        else:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f", did you mean {close[0]}?" if close else ""
            problems.append(f"{place}: unknown{hint}")
    return problems


def _text(path: str, value: Any) -> list[str]:  # noqa: ANN401
    return [] if isinstance(value, str) else [f"{path}: {type(value).__name__}, not text"]


def _flag(path: str, value: Any) -> list[str]:  # noqa: ANN401
    return [] if isinstance(value, bool) else [f"{path}: {type(value).__name__}, not true or false"]


def _number(path: str, value: Any) -> list[str]:  # noqa: ANN401
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return [] if value is None or good else [f"{path}: {type(value).__name__}, not a number"]


def _numbers(path: str, value: Any) -> list[str]:  # noqa: ANN401
    if not isinstance(value, list | tuple):
        return [f"{path}: {type(value).__name__}, not a list of numbers"]
    return [problem for one in value for problem in _number(path, one)][:1]


def _rows(known: Mapping[str, Check], needed: str) -> Check:
    def rows(path: str, value: Any) -> list[str]:  # noqa: ANN401
        if not isinstance(value, list | tuple):
            return [f"{path}: {type(value).__name__}, not a list"]
        found = []
        for place, one in enumerate(value):
            found += _fields(f"{path}[{place}]", one, known)
            if isinstance(one, Mapping) and needed not in one:
                found.append(f"{path}[{place}].{needed}: missing")
        return found

    return rows


def _columns(needed: str, known: frozenset[str] | None = None) -> Check:
    """Check lists of numbers of one length, ``needed`` among them; only ``known`` ones, if any."""

    def columns(path: str, value: Any) -> list[str]:  # noqa: ANN401
        if not isinstance(value, Mapping):
            return [f"{path}: {type(value).__name__}, not a dict"]
        names = dict.fromkeys(known if known is not None else value, _numbers)
        problems = _fields(path, value, names)
        if needed not in value:
            problems.append(f"{path}.{needed}: missing")
        lengths = {name: len(one) for name, one in value.items() if isinstance(one, list | tuple)}
        if len(set(lengths.values())) > 1:
            problems.append(f"{path}: lists of {lengths} values, which should be equally long")
        return problems

    return columns


def _by_name(path: str, value: Any) -> list[str]:  # noqa: ANN401
    if not isinstance(value, Mapping):
        return [f"{path}: {type(value).__name__}, not a dict of numbers"]
    return [problem for key, entry in value.items() for problem in _number(f"{path}.{key}", entry)]


def _anything(path: str, value: Any) -> list[str]:  # noqa: ANN401
    return [] if isinstance(value, Mapping) else [f"{path}: {type(value).__name__}, not a dict"]


ERRORS: dict[str, Check] = {
    f"{name}{end}": _number
    for name in ("energy_meV", "force_meV_per_A")
    for end in ("", "_low", "_high")
}
TOP: dict[str, Check] = {
    "title": _text,
    "summary": _text,
    "methods": _rows({"name": _text, **ERRORS, "baseline": _flag, "chosen": _flag}, "name"),
    "curve": _rows({"K": _number, **ERRORS, "extrapolated": _flag}, "K"),
    "parity": lambda path, value: _fields(
        path, value, {"energy": _columns("label"), "forces": _columns("label")}
    ),
    "forgetting": lambda path, value: _fields(path, value, {"before": _by_name, "after": _by_name}),
    "md": _columns("time_fs", frozenset({"time_fs", "energy_eV", "temperature_K"})),
    "provenance": _anything,
}


def finite(value: float | int | None) -> float:
    """Return the number, or NaN where there is none or an infinite one: figures leave it out."""
    return math.nan if value is None or math.isinf(value) else float(value)
