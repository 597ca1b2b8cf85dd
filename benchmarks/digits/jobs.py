"""The jobs of the benchmark: what each is called, what it runs, and where its result is kept."""

import json
from pathlib import Path
from typing import NamedTuple

from kshot.core.whole import whole

RESULTS = Path(__file__).parent / "results"
SHOTS = ("1", "5")
UNEVEN = "7-1-1"
SCRATCH, BASELINES = "from scratch", "baselines"
CENTROIDS = "centroid of MAML's features"


class Job(NamedTuple):
    """One method with one number of shots and one seed.

    Args:
        method: who learns.
        shots: per class; ``UNEVEN`` is the experiment with imbalanced supports.
        seed: of the split of digits and of the training.
        steps: outer steps.
    """

    method: str
    shots: str
    seed: int
    steps: int

    @property
    def path(self) -> Path:
        """Where the result is kept."""
        plain = self.method.replace(",", "").replace(" ", "-").replace("+", "p")
        return RESULTS / f"{self.steps}-steps" / f"{plain}_K{self.shots}_seed{self.seed}.json"

    def result(self) -> dict[str, dict] | None:
        """What each row of the table says, if the job is done."""
        return json.loads(self.path.read_text()) if self.path.exists() else None

    def run(self) -> None:
        """Run it, and keep its result as a whole or not at all."""
        found = self._uneven() if self.shots == UNEVEN else self._even()
        with whole(self.path) as part:
            part.write_text(json.dumps(found) + "\n")

    def _even(self) -> dict[str, dict]:
        from even import baselines_alone, learned, untrained

        if self.method == BASELINES:
            return baselines_alone(int(self.shots), self.seed)
        if self.method == SCRATCH:
            return {SCRATCH: untrained(int(self.shots), self.seed)}
        return learned(self.method, int(self.shots), self.seed, self.steps)

    def _uneven(self) -> dict[str, dict]:
        from imbalance import baselines_alone, learned, untrained

        if self.method == BASELINES:
            return baselines_alone(self.seed)
        if self.method == SCRATCH:
            return {SCRATCH: untrained(self.seed)}
        return learned(self.method, self.seed, self.steps)


def all_jobs(seeds: int, steps: int) -> list[Job]:
    """Return every job; those of the first seed, which already fill the tables, come first."""
    from imbalance import METHODS
    from learners import learners

    cheap = [BASELINES, SCRATCH]
    found = []
    for seed in range(seeds):
        for shots in SHOTS:
            found += [Job(name, shots, seed, steps) for name in (*cheap, *learners(steps))]
        found += [Job(name, UNEVEN, seed, steps) for name in (*cheap, *METHODS)]
    return found
