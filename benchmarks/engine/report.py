"""Results as JSON and as Markdown; the Markdown also goes into the README, never by hand."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def save(kind: str, results: dict[str, Any], text: str) -> None:
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{kind}.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / f"{kind}.md").write_text(text)
    readme = HERE / "README.md"
    begin, end = f"<!-- {kind}: begin -->\n", f"<!-- {kind}: end -->"
    before, _, rest = readme.read_text().partition(begin)
    _, _, after = rest.partition(end)
    readme.write_text(before + begin + text + end + after)


def speed(results: dict[str, Any], meanings: dict[str, str]) -> str:
    lines = [_origin(results), ""]
    for inner_steps, rows in results["inner_steps"].items():
        lines += [
            f"k = {inner_steps} (median of {results['rounds']} rounds; lowest to highest)",
            "",
            "| | outer steps per CPU second | ratio to jax_scan, same round | per wall second |",
            "|---|---|---|---|",
        ]
        for row in rows:
            title = f"**{row['name']}**: {meanings[row['name']]}"
            if row["missing"]:
                lines.append(f"| {title} | missing: {row['missing']} | | |")
            elif "ratio" not in row:
                lines.append(
                    f"| {title} | not timed: losses differ by {row['deviation']:.1e} | | |"
                )
            else:
                rate, ratio = row["steps_per_cpu_second"], row["ratio"]
                lines.append(
                    f"| {title} | {rate:.4g} ({row['lowest']:.4g} to {row['highest']:.4g})"
                    f" | {ratio:.3f} ({row['lowest_ratio']:.3f} to {row['highest_ratio']:.3f})"
                    f" | {row['steps_per_wall_second']:.4g} |"
                )
        lines.append("")
    return "\n".join(lines)


def memory(results: dict[str, Any], meanings: dict[str, str]) -> str:
    rows = results["rows"]
    steps = list(next(iter(rows.values())))
    lines = [_origin(results), ""]
    for title, cell in (
        ("Peak resident memory above entry, MiB (in brackets: the compiler's scratch)", _peak),
        ("CPU milliseconds of one meta-gradient", _milliseconds),
    ):
        lines += [title, "", "| | " + " | ".join(f"k = {k}" for k in steps) + " |"]
        lines.append("|---" * (len(steps) + 1) + "|")
        for name, by_steps in rows.items():
            cells = " | ".join(cell(by_steps[k]) for k in steps)
            lines.append(f"| **{name}**: {meanings[name]} | {cells} |")
        lines.append("")
    return "\n".join(lines)


def _peak(row: dict[str, Any]) -> str:
    if "missing" in row:
        return f"missing: {row['missing']}"
    if not row["agrees"]:
        return "gradient differs"
    compiler = f" ({row['compiler']:.1f})" if row["compiler"] else ""
    return f"{row['peak']:.1f}{compiler}"


def _milliseconds(row: dict[str, Any]) -> str:
    return "" if "missing" in row else f"{row['cpu_seconds'] * 1e3:.0f}"


def _origin(results: dict[str, Any]) -> str:
    machine = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return (
        f"`{results['command']}`; {machine['processor']}, {machine['cpus']} CPUs,"
        f" {machine['system']}; {results['threads']} threads;"
        f" Python {machine['python']}, {packages}."
    )
