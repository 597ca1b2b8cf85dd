"""Break the promises of the code one at a time, and see that a test notices each.

    python benchmarks/mutants/run.py --jobs 2
    python benchmarks/mutants/run.py --only eval-fits-the-shift

Each mutant of lists/*.toml changes one place of a copy of the working tree; then the tests that it
names are run on the copy. One of them must fail, and all must pass on the copy as it is. A mutant
that lives, whose old text does not stand in its file exactly once, or whose tests are skipped here,
ends the run with 1.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

from mutant import Mutant, MutantError, named, read_mutants
from sandbox import ROOT, Outcome, Sandbox

Item, Result = TypeVar("Item"), TypeVar("Result")


class Verdict(NamedTuple):
    """Whether a mutant was noticed, and by whom."""

    mutant: Mutant
    killed: bool
    words: str
    seconds: float
    output: str


def main() -> int:
    """Return 0 if every mutant is killed, else 1."""
    options = arguments()
    try:
        mutants = named(read_mutants(), options.only)
        for one in mutants:
            one.applied(ROOT)
    except MutantError as error:
        print(error, file=sys.stderr)
        return 1
    if options.list:
        for one in mutants:
            print(f"{one.name}: {one.promise} ({one.file})")
        return 0
    with tempfile.TemporaryDirectory(prefix="kshot-mutants-") as folder:
        copies: SimpleQueue[Sandbox] = SimpleQueue()
        for number in range(options.jobs):
            (Path(folder) / str(number)).mkdir()
            copies.put(Sandbox(Path(folder) / str(number)))
        if not sound(mutants, copies, options):
            return 1
        judge = functools.partial(verdict, timeout=options.timeout)
        verdicts = list(each(judge, mutants, copies, options.jobs))
    return table(verdicts)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these mutants")
    parser.add_argument("--list", action="store_true", help="print what would be run")
    parser.add_argument("--jobs", type=int, default=2, help="copies that are tested side by side")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one run of tests")
    return parser.parse_args()


def each(
    work: Callable[[Item, Sandbox], Result],
    items: Sequence[Item],
    copies: SimpleQueue[Sandbox],
    jobs: int,
) -> Iterable[Result]:
    """Yield what comes of each item, in order; each has a copy of its own while it is worked on."""

    def on_a_copy(item: Item) -> Result:
        copy = copies.get()
        try:
            return work(item, copy)
        finally:
            copies.put(copy)

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(on_a_copy, items)


def sound(
    mutants: Sequence[Mutant], copies: SimpleQueue[Sandbox], options: argparse.Namespace
) -> bool:
    """Whether all tests pass on the code as it is; says which do not."""
    tests = sorted({test for one in mutants for test in one.tests})
    files = sorted({test.partition("::")[0] for test in tests})
    dealt = [set(files[number :: options.jobs]) for number in range(min(options.jobs, len(files)))]
    shares = [[test for test in tests if test.partition("::")[0] in share] for share in dealt]
    print(f"{len(mutants)} mutants, {len(tests)} tests: first on the code as it is", flush=True)
    good = True

    def run(share: list[str], copy: Sandbox) -> Outcome:
        return copy.run(share, options.timeout * len(share), stop_at_first=False)

    for outcome in each(run, shares, copies, options.jobs):
        print(f"  {outcome.passed} passed, {outcome.seconds:.0f} s", flush=True)
        if outcome.failed or outcome.skipped or not outcome.finished:
            names = ", ".join([*outcome.failed, *outcome.skipped]) or "a run that did not end well"
            print(f"{outcome.output}\nexpected every test to pass; got {names}.", file=sys.stderr)
            good = False
    return good


def verdict(mutant: Mutant, copy: Sandbox, timeout: float) -> Verdict:
    """Return whether a mutant's tests notice it."""
    original = (copy.root / mutant.file).read_text(encoding="utf-8")
    try:
        copy.write(mutant.file, mutant.applied(copy.root))
        outcome = copy.run(mutant.tests, timeout, stop_at_first=True)
    finally:
        copy.write(mutant.file, original)
    killed = outcome.finished and bool(outcome.failed)
    words = outcome.failed[0].rpartition("::")[2] if killed else "LIVES"
    if not outcome.finished:
        words = "NO VERDICT"
    made = Verdict(mutant, killed, words, outcome.seconds, outcome.output)
    print(f"  {mutant.name}: {words}, {outcome.seconds:.0f} s", flush=True)
    return made


def table(verdicts: Sequence[Verdict]) -> int:
    """Print what became of each mutant; return 0 if all are dead, else 1."""
    print("\n| mutant | what it breaks | noticed by |\n|---|---|---|")
    for one in verdicts:
        print(f"| {one.mutant.name} | {one.mutant.promise} | {one.words} |")
    living = [one for one in verdicts if not one.killed]
    for one in living:
        print(f"\n{one.mutant.name}: {one.words}\n{one.output}", file=sys.stderr)
    print(f"\n{len(verdicts)} mutants, {len(verdicts) - len(living)} killed, {len(living)} living")
    return 1 if living else 0


if __name__ == "__main__":
    sys.exit(main())
