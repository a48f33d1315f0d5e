"""Distributions that turn a standard normal into a column with a given mean and deviation.

Used by ``population.py``. Every function takes an array of standard normals ``z`` (the Gaussian copula's
latent values of one column) and returns the column, so correlation between columns is set on ``z`` alone.
Only numpy: a normal's distribution function and its inverse are read from a table built with the standard
library.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()
_Z = np.linspace(-6.0, 6.0, 6001)
_CDF = np.array([_NORMAL.cdf(z) for z in _Z])

#: Spread (deviation over mean) above which a usage column is mostly zeros instead of merely skewed.
ZERO_INFLATION_ABOVE = 1.2
#: Spread above which so few customers have a service (one in a hundred or less) that the amounts must not vary much
#: as well: a few of them would decide the deviation of the whole column.
RARE_ABOVE = 8.0
RARE_SPREAD = 0.5


def uniform(z: np.ndarray) -> np.ndarray:
    """Probability below each standard normal."""
    return np.interp(z, _Z, _CDF)


def normal(u: np.ndarray) -> np.ndarray:
    """Inverse of :func:`uniform`, cut off at six deviations."""
    return np.interp(u, _CDF, _Z)


def lognormal(z: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Positive, skewed values."""
    variance = np.log1p((std / mean) ** 2)
    return np.exp(np.log(mean) - variance / 2 + np.sqrt(variance) * z)


def usage(z: np.ndarray, mean: float, std: float) -> np.ndarray:
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


def change(z: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Change against an earlier period: symmetric with heavy tails."""
    bend = 0.6
    scale = np.sqrt((np.exp(2 * bend**2) - 1) / 2)
    return mean + std * np.sinh(bend * z) / scale


def count_from(z: np.ndarray, mean: float, std: float, least: int = 1) -> np.ndarray:
    """Whole numbers from ``least`` up, negative binomial (their deviation exceeds a Poisson's)."""
    excess = mean - least
    variance = std**2
    size = excess**2 / (variance - excess)
    p = size / (size + excess)
    probabilities = [p**size]
    for k in range(1, 60):
        probabilities.append(probabilities[-1] * (k - 1 + size) / k * (1 - p))
    return least + _steps(z, np.array(probabilities))


def flag(z: np.ndarray, share: float) -> np.ndarray:
    """One for the given share of customers, otherwise zero."""
    return (z > _NORMAL.inv_cdf(1 - share)).astype(np.int64)


def price(z: np.ndarray, mean: float, std: float, points: np.ndarray) -> np.ndarray:
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


def category(z: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Index of a category, by its share."""
    return _steps(z, shares)


def _steps(z: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Index of the step of the cumulated probabilities each normal falls on."""
    cumulated = np.cumsum(probabilities)[:-1] / probabilities.sum()
    edges = np.array([_NORMAL.inv_cdf(min(max(c, 1e-12), 1 - 1e-12)) for c in cumulated])
    return np.searchsorted(edges, z, side="right")
