"""Kshot: few-shot machine-learning potentials by meta-learning, in JAX.

Import the part you need (`from kshot import meta`); this package imports none of them itself, so that
`import kshot` costs nothing and no submodule can depend on all the others by accident.
"""

__version__ = "0.1.0"
