"""What a report shows of an adaptation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kshot.pipeline.adapt import Done

MEV = 1e3


def page_record(done: Done) -> dict[str, Any]:
    """Return the record that `kshot.report` draws."""
    record = done.record
    page: dict[str, Any] = {
        "title": f"{Path(record['input']).stem}: {record['labels']} labels",
        "summary": sentence(record),
        "methods": [
            {
                "name": one["method"],
                "energy_meV": MEV * one["cv_energy_rmse_eV"],
                "force_meV_per_A": MEV * one["cv_force_rmse_eV_per_A"],
                "baseline": one["baseline"],
                "chosen": one["chosen"],
            }
            for one in record["candidates"]
        ],
        "curve": [
            {
                "K": one["labels"],
                "energy_meV": MEV * one["energy"],
                "force_meV_per_A": MEV * one["forces"],
                "predicted": one["predicted"],
            }
            for one in record["curve"]
        ],
        "provenance": {
            name: record[name]
            for name in ("start", "start_digest", "input", "level", "labels", "seed", "versions")
        },
    }
    if drift := record["drift"]:
        page["forgetting"] = {
            "before": MEV * drift["forces_before"],
            "after": MEV * drift["forces_after"],
        }
    return page


def sentence(record: dict[str, Any]) -> str:
    """Say in one sentence what was done and how well it does."""
    chosen = record["chosen"]
    alone = len(record["candidates"]) == 1
    plain = " (a plain baseline: it did best)" if chosen["baseline"] and not alone else ""
    plain = " (the only one that was tried)" if alone else plain
    return (
        f"{record['labels']} labels of {record['level'] or 'an unknown level of theory'}; method "
        f"{chosen['method']}{plain}; cross-validated inside the labels: energy "
        f"{MEV * chosen['cv_energy_rmse_eV']:.1f} meV, forces "
        f"{MEV * chosen['cv_force_rmse_eV_per_A']:.0f} meV/Å."
    )
