"""What a run tells while it runs: JSONL files, TensorBoard, and whatever a callback makes of it.

``metrics.jsonl`` holds numbers that depend on nothing but the run's set-up: a run that was killed
and resumed leaves the same bytes as one that never was. Wall-clock times and restarts go to
``metrics.times.jsonl`` beside it.
"""

from __future__ import annotations

import abc
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kshot.core.errors import OptionError
from kshot.core.manifest import Manifest
from kshot.core.registry import missing_extra
from kshot.core.whole import whole

KIND = "metrics"


class Row(NamedTuple):
    """What is told at one outer step: names and numbers, NaN where nothing could be measured."""

    step: int
    values: Mapping[str, float]


class Sink(abc.ABC):
    """Where rows go."""

    @abc.abstractmethod
    def write(self, row: Row) -> None:
        """Take one row; steps only grow."""

    @abc.abstractmethod
    def close(self) -> None:
        """Finish."""


class MetricsFile(Sink):
    """The JSONL file of a run: a manifest, then one row a line.

    Args:
        path: the file; rows past ``start`` that an interrupted run left are cut.
        manifest: the first line, if the file is new.
        start: the outer step this run goes on from; 0 begins the file anew.
    """

    def __init__(self, path: Path, manifest: Manifest, start: int) -> None:
        """Cut and open the files."""
        self._times = path.with_name(f"{path.stem}.times{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut(path, manifest.to_json(), start)
        _cut(self._times, manifest.to_json(), start)
        self._rows = path.open("a", encoding="utf-8")
        self._clock = self._times.open("a", encoding="utf-8")
        self._start, self._began = start, time.monotonic()

    def write(self, row: Row) -> None:
        """Append one row, and when it came."""
        # JSON knows no NaN: null says that nothing was measured.
        told = {name: v if math.isfinite(v) else None for name, v in row.values.items()}
        self._rows.write(_line({"step": row.step, **told}))
        self._rows.flush()
        seconds = time.monotonic() - self._began
        speed = (row.step - self._start) / seconds
        times = {"seconds": round(seconds, 3), "steps_per_second": round(speed, 3)}
        self._clock.write(_line({"step": row.step, **times}))

    def note(self, step: int, text: str) -> None:
        """Append an event of this very run: it was resumed, a checkpoint was damaged."""
        self._clock.write(_line({"step": step, "note": text}))
        self._clock.flush()

    def close(self) -> None:
        """Close the files."""
        self._rows.close()
        self._clock.close()


class TensorBoard(Sink):
    """Rows as TensorBoard scalars; needs ``kshot[tensorboard]``.

    Args:
        directory: the log directory.
        start: the outer step this run goes on from; later events of an interrupted run are purged.
    """

    def __init__(self, directory: Path, start: int) -> None:
        """Open the log."""
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError as error:
            raise missing_extra("train(tensorboard=…)", error.name, "tensorboard") from error
        self._writer = SummaryWriter(str(directory), purge_step=start + 1 if start else None)

    def write(self, row: Row) -> None:
        """Write each number of the row."""
        for name, value in row.values.items():
            self._writer.add_scalar(name, value, row.step)

    def close(self) -> None:
        """Close the log."""
        self._writer.close()


def read_metrics(path: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the manifest and the rows of a metrics file; a torn last line is left out.

    Raises:
        OptionError: the file is not one of kshot's metrics files.
    """
    lines = list(_parsed(Path(path)))
    if not lines or lines[0].get("kind") != KIND:
        todo = "Give a file that train(metrics=…) wrote, or a new path."
        raise OptionError("a metrics file of kshot", str(path), todo)
    return lines[0], lines[1:]


def _cut(path: Path, manifest: str, start: int) -> None:
    """Keep the rows up to ``start``; whole file or nothing, whenever the process is killed."""
    kept = [manifest]
    if path.exists() and path.stat().st_size:
        first, rows = read_metrics(path)
        if start:
            first = json.dumps(first, sort_keys=True)
            kept = [first, *(json.dumps(row) for row in rows if row["step"] <= start)]
    with whole(path, durable=True) as part:
        part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _parsed(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # the line a kill tore; nothing is written after one
            return


def _line(row: Mapping[str, object]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"
