"""Hypervolume: the size of what a set of points dominates, down to a reference point. All points are gains (larger is
better) in rows.

One and two objectives are exact in O(n log n); more are exact by the WFG recursion (While, Bradstreet, Barone: A Fast
Way of Calculating Exact Hypervolumes, IEEE TEC 16(1), 2012), whose cost grows fast: keep fronts of three or more
objectives below about a hundred points.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["contributions", "hypervolume"]


def hypervolume(gains: "NDArray[np.float64]", reference: "NDArray[np.float64]") -> float:
    """The volume between `reference` and the rows of `gains` (n x d); rows that do not exceed it everywhere add 0."""
    above = gains[(gains > reference).all(axis=1)] - reference
    return _volume(above)


def contributions(gains: "NDArray[np.float64]", reference: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """What each row of a front alone adds to its hypervolume."""
    import numpy as np

    if gains.shape[1] == 2:
        return _contributions_2d(gains, reference)
    total = hypervolume(gains, reference)
    without = [hypervolume(np.delete(gains, row, axis=0), reference) for row in range(len(gains))]
    return total - np.array(without, dtype=np.float64)


def _contributions_2d(gains: "NDArray[np.float64]", reference: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    order = np.argsort(gains[:, 0], kind="stable")
    x, y = gains[order, 0], gains[order, 1]
    left = np.concatenate(([reference[0]], x[:-1]))
    below = np.concatenate((y[1:], [reference[1]]))
    result = np.empty(len(gains))
    result[order] = np.maximum(x - left, 0.0) * np.maximum(y - below, 0.0)
    return result


def _front(points: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The non-dominated rows, best first objective first, equal rows once."""
    import numpy as np

    kept: list[int] = []
    unique = np.unique(points, axis=0)[::-1]
    for row, point in enumerate(unique):
        if not kept or not (unique[kept] >= point).all(axis=1).any():
            kept.append(row)
    return unique[kept]


def _volume(points: "NDArray[np.float64]") -> float:
    """The volume that positive points dominate over the origin."""
    import numpy as np

    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    if points.shape[1] == 2:
        x, y = points[np.argsort(-points[:, 0], kind="stable")].T
        tops = np.maximum.accumulate(y)
        return float((x * np.diff(tops, prepend=0.0)).sum())
    front = _front(points)
    limited = (np.minimum(front[row + 1 :], point) for row, point in enumerate(front))
    return sum(float(point.prod()) - _volume(below) for point, below in zip(front, limited, strict=True))
