"""results/*.json as tables: results/results.md."""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PARTS = ("energy", "forces", "charges", "ratios")


def parity() -> list[str]:
    rows = json.loads((RESULTS / "parity.json").read_text())
    titles = ["molecule", "atoms", "charge", "energy (eV)", "relative", "forces (eV/Å)", "relative"]
    titles += ["charges", "ratios", "float32 energy (eV)", "forces (eV/Å)"]
    lines = [
        f"| {' | '.join(titles)} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    single = {row["molecule"]: row for row in rows if row["dtype"] == "float32"}
    for row in (row for row in rows if row["dtype"] == "float64"):
        other = single[row["molecule"]]
        figures = [
            *(row["energy"][name] for name in ("off", "relative")),
            *(row["forces"][name] for name in ("off", "relative")),
            *(row[name]["relative"] for name in ("charges", "ratios")),
            *(other[name]["off"] for name in ("energy", "forces")),
        ]
        cells = [row["molecule"], str(row["atoms"]), f"{row['charge']:+d}"]
        lines.append(f"| {' | '.join([*cells, *(f'{figure:.1e}' for figure in figures)])} |")
    return lines


def speed() -> list[str]:
    found = json.loads((RESULTS / "speed.json").read_text())
    titles = ["molecule", "atoms", "edges", "kshot (ms)", "their model (ms)"]
    titles += ["their calculator (ms)", "compile (s)"]
    lines = [
        f"{found['about']}.",
        "",
        f"| {' | '.join(titles)} |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in found["rows"].items():
        names = ("atoms", "edges", "kshot_ms", "torch_ms", "torch_calculator_ms", "compile_s")
        lines.append(f"| {name} | {' | '.join(str(row[key]) for key in names)} |")
    return lines


def main() -> None:
    text = ["# SO3LR beside so3krates-torch 0.2.1", "", "## Parity", ""]
    text += [
        "Largest differences. Relative ones are over the largest value; of an energy, over what",
        "binds the molecule: the total less the model's constant per atom. Energies in float32 are",
        "beside their float64, as a total in float32 has no millielectronvolts.",
        "",
    ]
    text += [*parity(), "", "## Energy and forces of one molecule", "", *speed(), ""]
    (RESULTS / "results.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
