"""results/*.json as tables: results/results.md."""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def parity() -> list[str]:
    lines = [
        "| case | weights | atoms | edges | energy (eV) | energy | per atom | forces |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in json.loads((RESULTS / "parity.json").read_text()):
        errors = (row[f"{what}_relative_error"] for what in ("energy", "atom_energies", "forces"))
        cells = [
            row["case"],
            *(f"{row[what]:,}" for what in ("parameters", "atoms", "edges")),
            f"{row['energy_eV']:.6f}",
            *(f"{error:.1e}" for error in errors),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def speed() -> list[str]:
    found = json.loads((RESULTS / "speed.json").read_text())
    lines = [
        f"{found['about']}.",
        "",
        "| size | weights | forces (ms) | original | gradient (ms) | original | compile (s) |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in found["rows"].items():
        ours, theirs = row["kshot"], row["nequip-allegro"]
        compiled = ours["forces_compile_s"] + ours["training_compile_s"]
        lines.append(
            f"| {name} | {ours['parameters']:,} | {ours['forces_ms']} | {theirs['forces_ms']} "
            f"| {ours['training_ms']} | {theirs['training_ms']} | {compiled:.1f} |"
        )
    return lines


def main() -> None:
    text = ["# Allegro beside nequip-allegro 0.8.3", "", "## Parity", ""]
    text += ["Relative differences: the largest difference over the largest value.", ""]
    text += [*parity(), "", "## Speed", "", *speed(), ""]
    (RESULTS / "results.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
