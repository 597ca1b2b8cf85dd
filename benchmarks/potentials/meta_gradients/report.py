"""results.md from results.json."""

from pathlib import Path
from typing import Any

import sizes

NAMES = {f"kshot: {way}": text for way, text in sizes.KSHOT.items()} | {
    f"torch: {way}": text for way, text in sizes.TORCH.items()
}


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def ratio(rows: dict[str, Any], above: str, below: str) -> str:
    """The median over rounds of the ratio of CPU times, with its range."""
    if not all("rounds" in rows.get(key, {}) for key in (above, below)):
        return "not measured"
    pairs = zip(rows[above]["rounds"], rows[below]["rounds"], strict=True)
    found = sorted(a["cpu"] / b["cpu"] for a, b in pairs)
    return f"{found[len(found) // 2]:.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def table(rows: dict[str, Any]) -> list[str]:
    lines = [
        "| contestant | CPU ms | wall ms | peak MiB | XLA MiB | compile s | loss | norm |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for key, row in rows.items():
        if "cpu_s" not in row:
            lines.append(f"| {NAMES[key]} | {row.get('missing', 'not timed')} | | | | | | |")
            continue
        number = lambda name, digits=1: (  # noqa: E731
            f"{row[name]:.{digits}f}" if row.get(name) is not None else ""  # noqa: B023
        )
        cells = [
            NAMES[key],
            f"{1e3 * row['cpu_s']:.1f}",
            f"{1e3 * row['wall_s']:.1f}",
            number("peak_mib"),
            number("compiler_mib"),
            number("compile_cpu_s"),
            f"{row['loss']:.6g}",
            f"{row['norm']:.5g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def ratios(rows: dict[str, Any]) -> list[str]:
    wanted = {
        "kshot, exact over first order": ("kshot: auto", "kshot: first order"),
        "exact, mace-torch over kshot": ("torch: exact", "kshot: auto"),
        "first order, mace-torch over kshot": ("torch: first order", "kshot: first order"),
        "training, mace-torch over kshot": ("torch: training", "kshot: training"),
    }
    return [
        f"- {what}: {ratio(rows, *pair)}"
        for what, pair in wanted.items()
        if all(key in rows for key in pair)
    ]


def text(kept: dict[str, Any]) -> str:
    lines = ["# Meta-gradients through an energy-force loss", ""]
    machine = kept["machine"]
    lines += [f"{machine['processor']}, {machine['cpus']} CPUs; one thread each; float32.", ""]
    lines += [
        "Medians over rounds in which the contestants work in turn. Peak is resident memory above",
        "that before the call; XLA is the compiler's figure for temporary memory. Ratios are of",
        "CPU time, medians over rounds with their range. Same weights on both sides.",
        "",
    ]
    for group, by_steps in kept["groups"].items():
        for steps, found in by_steps.items():
            rows = found["rows"]
            count = next(row["parameters"] for row in rows.values() if "parameters" in row)
            lines += [f"## {group}, k = {steps}", "", f"{count:,} parameters,"]
            lines[-1] += f" molecule {sizes.GROUPS[group][1].replace('_', ' ')}, ten structures"
            lines[-1] += (
                f" to adapt on and ten to judge by; load of the machine {found['load']:.1f}."
            )
            lines += ["", *table(rows), "", *ratios(rows), ""]
    return "\n".join(lines)
