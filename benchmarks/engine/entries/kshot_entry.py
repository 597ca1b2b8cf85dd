"""kshot.meta."""

from entries import NotInstalled, Run
from sinusoid import Problem


def build(problem: Problem) -> Run:
    raise NotInstalled("kshot's engine is not there yet")
