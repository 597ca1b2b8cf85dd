"""Who is near whom."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64


def tree(points: Float64[np.ndarray, "points 3"]) -> Any:  # noqa: ANN401 - SciPy is untyped
    """Return SciPy's k-d tree over points in Å."""
    import scipy.spatial

    return scipy.spatial.KDTree(points)
