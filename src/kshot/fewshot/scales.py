"""Which scales of a prior are worth the true model: a local search by leave-one-out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kshot.fewshot.least_squares import Gram, Solved

FIRST = 1.0  # the scale that is tried first
PATIENCE = 2  # scales in a row that do clearly worse, on the way down
CLEARLY = 0.02  # of the logarithm of the errors: all scales that are too large do about the same


def promising(problem: Gram, factors: Sequence[float]) -> Iterator[Solved]:
    """Yield the problem solved for the scale that leave-one-out prefers, then for those below.

    The linear model knows nothing of moves that are too long for it: it may prefer a scale that
    the true model does worse with, but never one that is too small. Scales are tried from `FIRST`
    down until `PATIENCE` in a row do clearly worse than the best; if the first is the best, from
    there up until one does worse. So the grid may be long: what is far from the best is never
    solved.
    """
    grid = sorted(factors, reverse=True)
    solved: dict[int, Solved] = {}
    errors: dict[int, float] = {}

    def best_after(index: int) -> int:
        solved[index] = problem.solve(grid[index])
        errors[index] = solved[index].linear.together
        return min(errors, key=errors.__getitem__)

    first = next((i for i, factor in enumerate(grid) if factor <= FIRST), len(grid) - 1)
    best, worse = first, 0
    for index in range(first, len(grid)):
        best = best_after(index)
        worse = worse + 1 if errors[index] > errors[best] + CLEARLY else 0
        if worse >= PATIENCE:
            break
    for index in range(first - 1, -1, -1) if best == first else ():
        best = best_after(index)
        if best != index:
            break
    for index in [i for i in solved if i < best]:
        del solved[index]  # too large a scale: tens of megabytes
    for index in range(best, len(grid)):
        yield solved.pop(index, None) or problem.solve(grid[index])
