"""Error against the number of labels, for every contestant and test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kshot.core.units import KCAL_PER_MOL
from kshot.pipeline.study.jobs import Row
from kshot.pipeline.study.statistics import Case, errors
from kshot.pipeline.study.words import (
    KSHOT,
    QUANTITIES,
    called,
    methods_of,
    shots_of,
    tests_of,
)

KCAL = 1e3 * KCAL_PER_MOL  # meV
STYLES: dict[str, dict[str, Any]] = {KSHOT: {"color": "black", "lw": 2.4, "zorder": 3}}
PLAIN: dict[str, Any] = {"lw": 1.2, "alpha": 0.9}


def draw_figure(rows: Sequence[Row], path: Path) -> None:
    """Draw a row of panels for each test set; bands and bars are 95 % intervals."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    tests = tests_of(rows)
    figure, grid = plt.subplots(
        len(tests), 2, figsize=(9.5, 0.8 + 3.4 * len(tests)), layout="constrained", squeeze=False
    )
    for line, test in zip(grid, tests, strict=True):
        part = [row for row in rows if row["test"] == test]
        for axis, (quantity, unit) in zip(line, QUANTITIES.items(), strict=True):
            if not np.isfinite([float(row[quantity]) for row in part]).any():  # a scan's forces
                axis.set_axis_off()
                continue
            _panel(axis, part, test, quantity)
            axis.set_ylabel(f"{quantity} RMSE, {unit}")
        line[0].set_title(test, loc="left", fontsize=10)
    handles = {}
    for axis in grid.ravel():
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _panel(
    axis: Any,  # noqa: ANN401 - matplotlib's, which is optional
    rows: Sequence[Row],
    test: str,
    quantity: str,
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, ScalarFormatter

    shots = shots_of(rows)
    for place, method in enumerate(methods_of(rows)):
        style = STYLES.get(method, {**PLAIN, "color": f"C{place % 10}"})
        _line(axis, rows, method, test, quantity, style)
    axis.set(xscale="log", yscale="log", xlabel="labels K")
    axis.set_xticks(shots, [str(k) for k in shots])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 6, 8)))
    axis.yaxis.set_major_formatter(ScalarFormatter())
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    if quantity == "energy":
        axis.axhline(KCAL, ls=":", color="0.4")
        axis.annotate("1 kcal/mol", (shots[0], KCAL), fontsize=8, color="0.4", va="bottom")


def _line(
    axis: Any,  # noqa: ANN401
    rows: Sequence[Row],
    method: str,
    test: str,
    quantity: str,
    style: dict[str, Any],
) -> None:
    shots = shots_of(rows, method)
    points = [errors(rows, method, Case(test, k, quantity)) for k in shots]
    mean, low, high = np.array([point[:3] for point in points]).T
    label = called(method)
    if len(shots) > 1:
        axis.plot(shots, mean, marker="o", ms=3.5, label=label, **style)
        axis.fill_between(shots, low, high, color=style["color"], alpha=0.1, lw=0)
    else:
        around = np.nan_to_num([mean - low, high - mean])
        marked = {"marker": "D", "ms": 5, "capsize": 3, "ls": "none", **style}
        axis.errorbar(shots, mean, around, label=label, **marked)
