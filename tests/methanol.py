"""A molecule small enough for every test of adaptation."""

import numpy as np

from kshot.atoms import Structure

METHANOL = Structure(
    np.array([6, 8, 1, 1, 1, 1]),
    np.array(
        [
            [-0.05, 0.66, 0.0],
            [-0.05, -0.76, 0.0],
            [-1.09, 0.98, 0.0],
            [0.44, 1.07, 0.89],
            [0.44, 1.07, -0.89],
            [0.87, -1.06, 0.0],
        ]
    ),
)
