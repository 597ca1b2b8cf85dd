"""The hand-written JAX loop with each way to take the meta-gradient."""

from entries.jax_scan_entry import build as build  # build(problem, formulation)
