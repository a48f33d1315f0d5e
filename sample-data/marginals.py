"""Distributions that turn a standard normal into a column with a given mean and deviation.

Used by ``population.py``. Every function takes an array of standard normals ``z`` (the Gaussian copula's
latent values of one column) and returns the column, so correlation between columns is set on ``z`` alone.

The same ``z`` gives the same column on every processor. What is done to arrays is addition, multiplication,
division and rounding only, which IEEE 754 defines to the last bit; the exponential and the interpolation are
made of those, since numpy's own differ in the last digits between processors. What is computed once per column
with other functions is rounded by ``settled`` before it meets an array.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

_NORMAL = NormalDist()
_LOG_2 = 0.6931471805599453
# Terms of the exponential's series: the last is below half a unit in the last place for |x| <= log(2) / 2.
_TERMS = 14
# Where a number computed once is cut: far coarser than what functions differ by, far finer than what can be seen.
_SETTLED_DECIMALS = 9

#: Spread (deviation over mean) above which a usage column is mostly zeros instead of merely skewed.
ZERO_INFLATION_ABOVE = 1.2
#: Spread above which so few customers have a service (one in a hundred or less) that the amounts must not vary much
#: as well: a few of them would decide the deviation of the whole column.
RARE_ABOVE = 8.0
RARE_SPREAD = 0.5


def exp(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Exponential of each value, to about a unit in the last place, alike on every processor."""
    twos = np.rint(x / _LOG_2)
    rest = x - twos * _LOG_2
    total = np.ones_like(rest)
    for term in range(_TERMS, 0, -1):
        total = 1 + rest / term * total
    return np.ldexp(total, twos.astype(np.int64))


def settled(value: float) -> float:
    """A number computed with functions that processors round differently, without the digits in which they differ."""
    return round(float(value), _SETTLED_DECIMALS)


def _normal_table() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Standard normals from -6 to 6 and the probability below each, the density summed by trapezoids."""
    z = np.arange(-3000, 3001) / 500
    density = exp(-(z * z) / 2)
    areas = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return z, areas / areas[-1]


_Z, _CDF = _normal_table()


def _interpolate(
    x: np.ndarray[Any, Any], known: np.ndarray[Any, Any], values: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Values between those known (``known`` rises), the outermost beyond them."""
    inside = np.clip(x, known[0], known[-1])
    left = np.clip(np.searchsorted(known, inside, side="right") - 1, 0, len(known) - 2)
    share = (inside - known[left]) / (known[left + 1] - known[left])
    return values[left] + share * (values[left + 1] - values[left])


def uniform(z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Probability below each standard normal."""
    return _interpolate(z, _Z, _CDF)


def normal(u: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Inverse of :func:`uniform`, cut off at six deviations."""
    return _interpolate(u, _CDF, _Z)


def lognormal(z: np.ndarray[Any, Any], mean: float, std: float) -> np.ndarray[Any, Any]:
    """Positive, skewed values."""
    variance = np.log1p((std / mean) ** 2)
    return exp(settled(np.log(mean) - variance / 2) + settled(np.sqrt(variance)) * z)


def usage(z: np.ndarray[Any, Any], mean: float, std: float) -> np.ndarray[Any, Any]:
    """Non-negative usage: lognormal, with a share of exact zeros when the spread is large.

    A service few customers use (data calls, roaming) has a deviation of many times its mean; what fits is
    "mostly zero, the rest lognormal", with the share of non-zeros that gives the wanted deviation.
    """
    spread = std / mean
    if spread <= ZERO_INFLATION_ABOVE:
        return lognormal(z, mean, std)
    inner = ZERO_INFLATION_ABOVE if spread <= RARE_ABOVE else RARE_SPREAD
    users = (1 + inner**2) / (1 + spread**2)
    u = uniform(z)
    rank = np.clip((u - (1 - users)) / users, 1e-9, 1 - 1e-6)
    amount = lognormal(normal(rank), mean / users, inner * mean / users)
    return np.where(u < 1 - users, 0.0, amount)


def change(z: np.ndarray[Any, Any], mean: float, std: float) -> np.ndarray[Any, Any]:
    """Change against an earlier period: symmetric with heavy tails."""
    bend = 0.6
    scale = settled(np.sqrt((np.exp(2 * bend**2) - 1) / 2))
    return mean + std * (exp(bend * z) - exp(-bend * z)) / 2 / scale


def count_from(z: np.ndarray[Any, Any], mean: float, std: float, least: int = 1) -> np.ndarray[Any, Any]:
    """Whole numbers from ``least`` up, negative binomial (their deviation exceeds a Poisson's)."""
    excess = mean - least
    variance = std**2
    size = excess**2 / (variance - excess)
    p = size / (size + excess)
    probabilities = [p**size]
    for k in range(1, 60):
        probabilities.append(probabilities[-1] * (k - 1 + size) / k * (1 - p))
    return least + _steps(z, np.array(probabilities))


def flag(z: np.ndarray[Any, Any], share: float) -> np.ndarray[Any, Any]:
    """One for the given share of customers, otherwise zero."""
    return (z > settled(_NORMAL.inv_cdf(1 - share))).astype(np.int64)


def price(z: np.ndarray[Any, Any], mean: float, std: float, points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One of a few price points, with the weights of largest entropy that give mean and deviation."""
    x = (points - mean) / std
    a = b = 0.0
    for _ in range(50):
        weights = np.exp(a * x + b * x**2)
        weights /= weights.sum()
        moments = np.array([(weights * x**k).sum() for k in range(1, 5)])
        gap = np.array([moments[0], moments[1] - 1.0])
        slope = np.array(
            [
                [moments[1] - moments[0] ** 2, moments[2] - moments[0] * moments[1]],
                [moments[2] - moments[0] * moments[1], moments[3] - moments[1] ** 2],
            ]
        )
        step = np.linalg.solve(slope, gap)
        a, b = a - step[0], b - step[1]
    return points[_steps(z, weights)]


def category(z: np.ndarray[Any, Any], shares: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Index of a category, by its share."""
    return _steps(z, shares)


def _steps(z: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Index of the step of the cumulated probabilities each normal falls on."""
    cumulated = np.cumsum(probabilities)[:-1] / probabilities.sum()
    edges = [settled(_NORMAL.inv_cdf(min(max(c, 1e-12), 1 - 1e-12))) for c in cumulated]
    return np.searchsorted(edges, z, side="right")
