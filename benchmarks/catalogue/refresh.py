"""Make the catalogue's stored geometries and its status anew; commit what changes.

python benchmarks/catalogue/refresh.py            # everything
python benchmarks/catalogue/refresh.py sugar      # one stratum, such as after editing its file
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from kshot.families.catalogue.refresh import refresh
from kshot.labelers.gfn import gfn2

if __name__ == "__main__":
    rows = refresh(gfn2(), "gfn2", strata=sys.argv[1:])
    marked = [row for row in rows if row.outcome != "converges"]
    print(f"{len(rows)} members, {len(marked)} marked")
    for row in marked:
        print(f"  {row.family}/{row.member}: {row.words}")
