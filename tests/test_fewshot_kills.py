"""`kshot train` and `kshot adapt` under kill -9: one kill each; the benchmark does more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kshot.core.cache import cache_folder

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "fewshot" / "kills.py"


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["train", "adapt"])
def test_killed_and_resumed_is_as_never_interrupted(verb: str):
    cache = cache_folder()
    kept = [] if cache is None else ["--cache", str(cache)]
    done = subprocess.run(
        [sys.executable, SCRIPT, "--only", verb, "--kills", "1", "--quick", *kept],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{verb}: 1 kills" in done.stdout
    assert "the same" in done.stdout
