"""A copy of the working tree in which one file at a time is changed and tests are run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
FRAMES = Path("benchmarks") / "fewshot"
PARTS = (
    *("src", "tests", "pyproject.toml"),
    *(FRAMES / "level", FRAMES / "frames" / "development"),  # labelled frames that tests read
)
# without checks of annotations: they take most of the time, and no promise should rest on them.
QUICKLY = ("-n", "0", "-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib")


class Outcome(NamedTuple):
    """What came of a run of tests.

    Args:
        passed: tests that passed.
        failed: names of tests that failed.
        skipped: names of tests that were skipped.
        seconds: of the run.
        output: the end of what pytest printed.
        finished: False if it was stopped by its time limit, or found no tests, or broke down.
    """

    passed: int
    failed: list[str]
    skipped: list[str]
    seconds: float
    output: str
    finished: bool


class Sandbox:
    """A copy of the working tree.

    Args:
        folder: an empty one; compiled programs are shared with the working tree, nothing else is.
    """

    def __init__(self, folder: Path) -> None:
        """Copy what tests need."""
        self.root = folder
        self._mutations = 0
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy2(source, folder / part)
        programs = ROOT / ".cache" / "jax"
        programs.mkdir(parents=True, exist_ok=True)
        (folder / ".cache").mkdir()
        (folder / ".cache" / "jax").symlink_to(programs.resolve(), target_is_directory=True)

    def write(self, file: str, text: str) -> None:
        """Replace a file of the copy, so that no compiled module can be taken for it."""
        path = self.root / file
        self._mutations += 1
        stamp = (
            path.stat().st_mtime + self._mutations
        )  # Python tells sources apart by whole seconds
        path.write_text(text, encoding="utf-8")
        os.utime(path, (stamp, stamp))

    def run(self, tests: Sequence[str], timeout: float, *, stop_at_first: bool) -> Outcome:
        """Run some tests on the copy."""
        report = self.root / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", *QUICKLY, f"--junitxml={report}"]
        command += [*(["-x"] if stop_at_first else []), *tests]
        environment = os.environ | {"PYTHONPATH": str(self.root / "src")}
        environment.pop("KSHOT_CACHE", None)  # tests keep theirs in the copy
        begun = time.perf_counter()
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=environment,
                timeout=timeout,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(0, [], [], timeout, f"no end after {timeout:g} s", finished=False)
        seconds, output = time.perf_counter() - begun, done.stdout[-3000:]
        if done.returncode not in (0, 1) or not report.exists():
            return Outcome(0, [], [], seconds, output, finished=False)
        return _read(report, seconds, output)


def _read(report: Path, seconds: float, output: str) -> Outcome:
    """Return what pytest's report says."""
    passed, failed, skipped = 0, [], []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None:
            skipped.append(name)
        else:
            passed += 1
    return Outcome(passed, failed, skipped, seconds, output, finished=True)
