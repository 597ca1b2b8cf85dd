"""kshot.meta's strategies for the meta-gradient."""

from entries import NotInstalled, Run
from sinusoid import Problem


def build(problem: Problem, strategy: str) -> Run:
    raise NotInstalled("kshot's engine is not there yet")
