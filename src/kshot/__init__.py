"""Kshot: few-shot machine-learning potentials by meta-learning, in JAX.

Import the part you need (`from kshot import meta`). This package imports none of its parts, so that
`import kshot` costs nothing and no part can come to depend on all the others by accident.
"""

__version__ = "0.1.0"
