"""What a report shows of an adaptation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kshot.pipeline.adapt import Done
from kshot.pipeline.levels import levels_sentence

MEV = 1e3
PROVENANCE = (
    *("start", "start_level", "start_digest", "input", "level", "labels", "shifts_eV", "seed"),
    "versions",
)
ENDS = ("", "_low", "_high")  # of the names of an error and of the ends of its interval


def page_record(done: Done) -> dict[str, Any]:
    """Return the record that `kshot.report` draws."""
    record = done.record
    page: dict[str, Any] = {
        "title": f"{Path(record['input']).stem}: {record['labels']} labels",
        "summary": "\n".join(
            [sentence(record), levels_sentence(record), *extrapolated(record), *record["notes"]]
        ),
        "methods": [
            {
                "name": candidate["method"],
                **_in_meV(candidate, "expected_energy_rmse_eV", "expected_force_rmse_eV_per_A"),
                "baseline": candidate["baseline"],
                "chosen": candidate["chosen"],
            }
            for candidate in record["candidates"]
        ],
        "curve": [
            {
                "K": point["labels"],
                **_in_meV(point, "energy", "forces"),
                "extrapolated": point["extrapolated"],
            }
            for point in record["curve"]
        ],
        "provenance": {name: record[name] for name in PROVENANCE},
    }
    if drift := record["drift"]:
        page["forgetting"] = {
            when: {
                "forces (meV/Å)": MEV * drift[f"forces_{when}"],
                "energy (meV/atom)": MEV * drift[f"energy_{when}"],
            }
            for when in ("before", "after")
        }
    return page


def sentence(record: dict[str, Any]) -> str:
    """Say in one sentence what was done, and what errors to expect."""
    chosen = record["chosen"]
    alone = len(record["candidates"]) == 1
    plain = " (a plain baseline: it did best)" if chosen["baseline"] and not alone else ""
    plain = " (the only one that was tried)" if alone else plain
    energy = _range(chosen, "expected_energy_rmse_eV", 1)
    forces = _range(chosen, "expected_force_rmse_eV_per_A", 0)
    return (
        f"{record['labels']} labels of {record['level'] or 'an unknown level of theory'}; method "
        f"{chosen['method']}{plain}; expected on new frames like the labelled ones: energy "
        f"{energy} meV, forces {forces} meV/Å; another conformer, or much hotter frames, may be "
        f"several times worse."
    )


def extrapolated(record: dict[str, Any]) -> list[str]:
    """Say what more labels may bring; nothing where no trend was seen."""
    beyond = [point for point in record["curve"] if point["extrapolated"]]
    parts = [
        f"with {point['labels']} labels {_range(point, 'energy', 1)} meV and "
        f"{_range(point, 'forces', 0)} meV/Å"
        for point in beyond
    ]
    return [f"extrapolated: {'; '.join(parts)}"] if parts else []


def forgotten(record: dict[str, Any]) -> list[str]:
    """Say what was forgotten; nothing where the start has no anchors."""
    drift = record["drift"]
    if not drift:
        return []
    before, after = (f"{MEV * drift[f'forces_{when}']:.0f}" for when in ("before", "after"))
    ratio = f"×{drift['forces_ratio']:.2f}"
    return [f"on other chemistry (anchors): forces {before} meV/Å before, {after} after, {ratio}"]


def _range(values: Mapping[str, Any], name: str, digits: int) -> str:
    """Return an error in thousandths, and in brackets the interval that holds nine of ten."""
    errors = [MEV * values[f"{name}{end}"] for end in ENDS]
    # no error is zero: small ones are printed with one digit that is not.
    error, low, high = (f"{x:.{digits}f}" if x >= 1 else f"{x:.1g}" for x in errors)
    return f"{error} ({low} to {high})"


def _in_meV(values: Mapping[str, Any], energy: str, forces: str) -> dict[str, float]:  # noqa: N802
    """Return errors and the ends of their intervals under the names of reports."""
    names = {"energy_meV": energy, "force_meV_per_A": forces}
    return {
        f"{name}{end}": MEV * values[f"{source}{end}"]
        for name, source in names.items()
        for end in ENDS
    }
