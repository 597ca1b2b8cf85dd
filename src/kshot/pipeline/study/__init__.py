"""A study: error against K on families that no training saw, for every contestant, several draws.

Frames are split into shots and test sets (`frames`), contestants (`jobs`, `closed`, `beside`) give
rows, which a store keeps under keys that cannot go stale (`store`), and what is kept becomes tables
and a figure (`statistics`, `tables`, `words`, `figure`).
"""

from kshot.pipeline.study.frames import Draw, Pool, draws_of, pool_of
from kshot.pipeline.study.jobs import ALLOW, Job, Row, tested
from kshot.pipeline.study.run import Setting, Study, load_study, run_study

__all__ = [
    "ALLOW",
    "Draw",
    "Job",
    "Pool",
    "Row",
    "Setting",
    "Study",
    "draws_of",
    "load_study",
    "pool_of",
    "run_study",
    "tested",
]
