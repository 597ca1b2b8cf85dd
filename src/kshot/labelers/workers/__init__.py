"""Engines in processes of their own: `child` is the parent's side, `serve` the child's."""

from kshot.labelers.workers.child import Child, Died, Limits, Order

__all__ = ["Child", "Died", "Limits", "Order"]
