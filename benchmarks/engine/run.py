"""Outer steps per CPU second of every contestant on the sinusoid problem, side by side.

Every contestant lives in a process of its own; the runner lets them work in turn, one block of
steps each, for several rounds, so that whatever else the machine does touches all alike. A
contestant is timed only if its first query losses agree with the hand-written JAX reference.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import report
from entries import ENTRIES, NOT_EXACT, STRATEGIES

HERE = Path(__file__).parent
REFERENCE = "jax_scan"
CHECK_STEPS = 20
TOLERANCE = 1e-4


@dataclass
class Contestant:
    name: str
    process: subprocess.Popen[str]
    missing: str | None = None
    first_losses: list[float] = field(default_factory=list)
    deviation: float = 0.0
    block_steps: int = 0
    # Outer steps per second, one value per round.
    per_cpu_second: list[float] = field(default_factory=list)
    per_wall_second: list[float] = field(default_factory=list)

    def ask(self, steps: int) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"steps": steps}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            return {"missing": f"stopped with exit status {self.process.wait()}"}
        return json.loads(line)

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def start(name: str, inner_steps: int, threads: str, block_seconds: float) -> Contestant:
    """Build, compile, check steps, and a block size that takes about `block_seconds` of CPU."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        str(HERE / "worker.py"),
        name,
        str(inner_steps),
        threads,
    ]
    process = subprocess.Popen(
        command,
        env=machine.environment(threads),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    contestant = Contestant(name, process)
    contestant.missing = contestant.answer().get("missing")
    if contestant.missing:
        return contestant
    first = contestant.ask(CHECK_STEPS)
    contestant.missing = first.get("missing")
    if contestant.missing:
        return contestant
    contestant.first_losses = first["losses"]
    steps = CHECK_STEPS
    for _ in range(2):
        contestant.ask(steps)  # what a block of this length compiles, it compiles here
        pace = steps / contestant.ask(steps)["cpu"]
        # Whole hundreds where there are any: the scanning entries make a hundred steps per call.
        size = max(1, round(pace * block_seconds))
        steps = size if size < 100 else round(size, -2)
    contestant.ask(steps)
    contestant.block_steps = steps
    return contestant


def deviation(losses: list[float], reference: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(losses, reference, strict=True))


def check(contestants: list[Contestant], reference: Contestant) -> list[Contestant]:
    """Those that may be timed."""
    passed = []
    for c in contestants:
        if c.missing:
            print(f"  {c.name:20s} missing: {c.missing}")
            continue
        c.deviation = deviation(c.first_losses, reference.first_losses)
        agrees = c.deviation <= TOLERANCE
        verdict = "agrees" if agrees else "DIFFERS"
        if c.name in NOT_EXACT:
            verdict = "differs, as first order must" if not agrees else "AGREES WITH EXACT: WRONG"
        print(f"  {c.name:20s} {verdict} (largest relative deviation {c.deviation:.1e})")
        if agrees != (c.name in NOT_EXACT):
            passed.append(c)
    return passed


def race(contestants: list[Contestant], rounds: int) -> None:
    for number in range(rounds):
        for c in contestants:
            result = c.ask(c.block_steps)
            c.per_cpu_second.append(c.block_steps / result["cpu"])
            c.per_wall_second.append(c.block_steps / result["wall"])
        print(f"  round {number + 1} of {rounds} done", flush=True)


def summary(c: Contestant, reference: Contestant) -> dict[str, Any]:
    row: dict[str, Any] = {"name": c.name, "missing": c.missing, "deviation": c.deviation}
    if c.per_cpu_second:
        pairs = zip(c.per_cpu_second, reference.per_cpu_second, strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        row |= {
            "steps_per_cpu_second": statistics.median(c.per_cpu_second),
            "lowest": min(c.per_cpu_second),
            "highest": max(c.per_cpu_second),
            "steps_per_wall_second": statistics.median(c.per_wall_second),
            "ratio": statistics.median(ratios),
            "lowest_ratio": min(ratios),
            "highest_ratio": max(ratios),
            "rounds": c.per_cpu_second,
        }
    return row


def compare(
    names: list[str], inner_steps: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    print(f"k = {inner_steps}: building and compiling", flush=True)
    contestants = [
        start(name, inner_steps, options.threads, options.block_seconds) for name in names
    ]
    try:
        reference = next(c for c in contestants if c.name == REFERENCE)
        if reference.missing:
            raise SystemExit(f"the reference did not run: {reference.missing}")
        print(f"first {CHECK_STEPS} query losses against {REFERENCE}, tolerance {TOLERANCE:.0e}:")
        timed = check(contestants, reference)
        race(timed, options.rounds)
    finally:
        for c in contestants:
            c.stop()
    return [summary(c, reference) for c in contestants]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*ENTRIES, *STRATEGIES], metavar="NAME")
    parser.add_argument("--strategies", action="store_true", help="race the meta-gradients instead")
    parser.add_argument("--inner-steps", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--block-seconds", type=float, default=1.0, help="of CPU, per block")
    parser.add_argument("--threads", choices=["single", "default"], default="single")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()

    names = options.only or list(STRATEGIES if options.strategies else ENTRIES)
    if REFERENCE not in names:
        names.insert(0, REFERENCE)
    results: dict[str, Any] = {
        "command": "python " + " ".join(sys.argv),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "threads": options.threads,
        "rounds": options.rounds,
        "inner_steps": {},
    }
    for k in options.inner_steps:
        results["inner_steps"][str(k)] = compare(names, k, options)
        text = report.speed(results, {**ENTRIES, **STRATEGIES})
        print(text, flush=True)
        if not options.no_save:  # what one k has cost is not lost with the next
            report.save("strategies" if options.strategies else "engine", results, text)


if __name__ == "__main__":
    main()
