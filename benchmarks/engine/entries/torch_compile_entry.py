"""torch.func with vmap over tasks, compiled by inductor."""

import torch
from sinusoid import Problem

from entries import Run
from entries.torch_func_entry import gradient_and_loss, run_with


def build(problem: Problem) -> Run:
    compiled = torch.compile(gradient_and_loss(problem), fullgraph=True, dynamic=False)
    return run_with(problem, compiled)
