"""Fit what `kshot.fewshot.expected` knows, on development families only; write calibration.md.

    python benchmarks/fewshot/run.py --development --only closed
    python benchmarks/fewshot/calibrate.py

Cross-validated errors inside the K beside true ones on a fresh trajectory of the same minimum. All
methods count, so that a line knows small and large errors. Each family is judged by a line that was
fitted to the others. Intervals are those of a new family: Student's for as many families as there
are, since runs of one family are no independent witnesses. What it prints is in the module.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import t as student

HERE = Path(__file__).parent
SHOTS = (5, 10, 20, 50)
TEST = "test-same"
FACTOR = 1.5
HEAD = """# Expected errors, calibrated

Made by `python benchmarks/fewshot/calibrate.py`; not to be edited. Reported by true RMSE on a fresh
trajectory of the same minimum, of what adaptation chose; each family is judged by a line that was
fitted to the other families. Families, all of development: {names}.

| reported | K | runs | median reported / true | within a factor of 1.5 |
|---|---|---|---|---|
"""
INTERVALS = """
Intervals that hold nine of ten true errors of a new family, by Student's t for as many families:

"""


def main() -> None:
    """Fit, judge by leaving families out, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "development" / "results")
    parser.add_argument("--start", default="bio-small")
    options = parser.parse_args()

    runs = read_runs(options.results, options.start)
    families = np.array([run["family"] for run in runs])
    chosen = np.array([run["method"] == "kshot" for run in runs])
    shots = np.array([run["k"] for run in runs])
    reaches: list[str] = []
    lines = [HEAD.format(names=", ".join(sorted(set(families))))]
    for kind in ("energy", "forces"):
        features, reported, true = arrays(runs, kind)
        weights = np.linalg.lstsq(features, true - reported, rcond=None)[0]
        off = reported - true + left_out(features, true - reported, families)
        reach = float(np.exp(half_width(off[chosen], families[chosen])))
        print(f"{kind}: weights {np.round(weights, 3)}, reach {reach:.2f}")
        reaches.append(f"- {kind}: a factor of {reach:.2f} up or down\n")
        for words, ratio in (("cross-validated", reported - true), ("expected", off)):
            for k in (*SHOTS, None):
                these = chosen & (shots == k if k else True)
                row = (f"{words} {kind}", k or "all", these.sum(), *figures(ratio[these]))
                lines.append("| " + " | ".join(map(str, row)) + " |\n")
    (HERE / "calibration.md").write_text("".join([*lines, INTERVALS, *reaches]))


def read_runs(folder: Path, name: str) -> list[dict]:
    """Return rows of a start that hold cross-validated errors and true ones of both kinds."""
    from kshot.pipeline.study.store import read_rows
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path

    rows = read_rows(folder, load(start_path(name)).digest)
    return [row for row in rows if "cv" in row and row["test"] == TEST]


def arrays(runs: list[dict], kind: str) -> tuple[np.ndarray, ...]:
    """Return features, and cross-validated and true errors as logarithms."""
    from kshot.fewshot.expected import energy_features, force_features
    from kshot.fewshot.least_squares import Score

    cv = np.array([run["cv"] for run in runs])
    true = np.log([run[kind] for run in runs])
    if kind == "forces":
        features = np.array([force_features(run["k"]) for run in runs])
        return features, np.log(cv[:, 1]), true
    features = np.array(
        [energy_features(Score(*run["cv"]), run["k"], float(run["atoms"])) for run in runs]
    )
    return features, np.log(cv[:, 0]), true


def left_out(features: np.ndarray, target: np.ndarray, families: np.ndarray) -> np.ndarray:
    """Return predictions for each family by the line fitted to all others."""
    predictions = np.empty(len(target))
    for family in set(families):
        others = families != family
        weights = np.linalg.lstsq(features[others], target[others], rcond=None)[0]
        predictions[~others] = features[~others] @ weights
    return predictions


def half_width(off: np.ndarray, families: np.ndarray) -> float:
    """Return how far, as a logarithm, nine of ten errors of a new family are from what is expected.

    Args:
        off: logarithms of reported by true errors, each family left out of its line.
        families: of each.
    """
    count = len(set(families))
    squares = [np.mean(off[families == family] ** 2) for family in set(families)]
    return float(student.ppf(0.95, count - 1) * np.sqrt(np.mean(squares) * (1 + 1 / count)))


def figures(ratio: np.ndarray) -> tuple[str, str]:
    """Return the median of reported by true errors, and how many are near."""
    near = np.mean(np.abs(ratio) < np.log(FACTOR))
    return f"{np.exp(np.median(ratio)):.2f}", f"{100 * near:.0f} %"


if __name__ == "__main__":
    main()
