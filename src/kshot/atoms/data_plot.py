"""One figure that shows at a glance whether labelled data are in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kshot.atoms.data_report import DataReport
from kshot.atoms.unit_traps import shortest_distances, work_pairs
from kshot.core.registry import missing_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_report(report: DataReport, to: Path) -> None:
    """Draw energies, forces, ΔE against the work of the forces, and shortest distances.

    Args:
        report: of `kshot.atoms.data_report.report`.
        to: the file; its ending (``.png``, ``.pdf``, ``.svg``) is its format.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise missing_extra("a plot", error.name, "plot") from error

    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    _histogram(axes[0, 0], report.energies_per_atom(), _energy_words(report))
    forces = [np.linalg.norm(one.labels.forces, axis=1) for one in report.frames]
    _histogram(axes[0, 1], np.concatenate([*forces, []]), "force on an atom (eV/Å)")
    _work(axes[1, 0], report)
    distances = [shortest_distances(one.structure) for one in report.frames]
    words = "shortest distance of an atom (sums of covalent radii)"
    _histogram(axes[1, 1], np.concatenate([*distances, []]), words)
    verdict = "must not be used as they are" if report.refused else "nothing that forbids their use"
    figure.suptitle(f"{report.path.name}: {len(report.frames)} frames; {verdict}", wrap=True)
    figure.savefig(to, dpi=130)


def _energy_words(report: DataReport) -> str:
    less = "E0s" if report.e0s is not None else "the median of its composition"
    return f"energy less {less} (eV/atom)"


def _histogram(axes: Axes, values: np.ndarray, words: str) -> None:
    axes.hist(values, bins=40, color="#4477aa")
    axes.set(xlabel=words, ylabel="count", yscale="log" if len(values) > 1000 else "linear")


def _work(axes: Axes, report: DataReport) -> None:
    pairs = np.array(list(work_pairs(report.frames))).reshape(-1, 3)
    axes.scatter(pairs[:, 2], pairs[:, 1], s=10, color="#4477aa")
    if len(pairs):
        ends = [pairs[:, 1:].min(), pairs[:, 1:].max()]
        axes.plot(ends, ends, color="#aa3377", linewidth=1)
    axes.set(xlabel="work of the forces between frames, −F̄·ΔR (eV)", ylabel="ΔE (eV)")
