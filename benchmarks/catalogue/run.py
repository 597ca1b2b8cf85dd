"""Draw and label the whole catalogue, and write results.md; run it again to go on where it ended.

    python benchmarks/catalogue/run.py            # 20 configurations of each member
    python benchmarks/catalogue/run.py -n 5 --stratum sugar --out /tmp/sugar

Frames, ledger and labels stay in ``--out`` and are not committed; results.md is.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from report import report

from kshot.cli.families_sample import Request, sample_and_label
from kshot.families import load_catalogue, select

HERE = Path(__file__).parent
TEMPERATURE = 300.0
SEED = 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument("--stratum", action="append", default=[])
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    families = select(load_catalogue(), strata=options.stratum)
    labels = options.out / "catalogue.extxyz"
    request = Request(
        options.n, TEMPERATURE, SEED, "auto", "gfn2", options.out / "labels.ledger", labels
    )
    begun, cpu = time.monotonic(), time.process_time()
    for line in sample_and_label(families, request):
        print(line, flush=True)
    took = f"{time.monotonic() - begun:.0f} s ({time.process_time() - cpu:.0f} s of CPU)"
    whole = not options.stratum
    path = (HERE if whole else options.out) / "results.md"
    path.write_text(report(families, request, took))
    print(f"report in {path}")


if __name__ == "__main__":
    main()
