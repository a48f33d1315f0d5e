"""The simulated customers: how the 88 columns of the churn data hang together.

Called by ``generate.py``. A few hidden traits (how much a customer phones, pays, complains, how old the
handset is) drive all columns: every column has a standard normal of its own that follows one or two traits, or
another column, and a marginal distribution fitted to the mean and deviation in ``churn_schema.json``. Whether a
customer leaves depends on the columns mostly through products and a contract cliff, which no linear model can
follow, plus noise.

``Shift`` says how the second part of the data differs: usage falls, plans get dearer, the mix of areas moves,
and the reasons to leave change a little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import marginals
import numpy as np

TRAITS = ("usage", "data", "plan", "overage", "quality", "care", "tenure", "household", "handset", "trend")

#: column -> what its normal follows, with weights; what is left to one is the column's own noise.
#: A column may follow independent traits, or one column that stands earlier in this table.
FOLLOWS: dict[str, dict[str, float]] = {
    "mou_Mean": {"usage": 0.92},
    "rev_Mean": {"plan": 0.72, "usage": 0.48},
    "totmrc_Mean": {"plan": 0.85},
    "da_Mean": {"usage": 0.35},
    "ovrmou_Mean": {"overage": 0.85, "usage": 0.35},
    "vceovr_Mean": {"ovrmou_Mean": 0.96},
    "datovr_Mean": {"overage": 0.4, "data": 0.5},
    "roam_Mean": {"plan": 0.3},
    "change_mou": {"trend": 0.88},
    "change_rev": {"trend": 0.45, "overage": 0.3},
    "drop_vce_Mean": {"usage": 0.55, "quality": 0.65},
    "drop_dat_Mean": {"data": 0.5, "quality": 0.3},
    "blck_vce_Mean": {"usage": 0.3, "quality": 0.5},
    "blck_dat_Mean": {"data": 0.4, "quality": 0.3},
    "unan_vce_Mean": {"usage": 0.8},
    "unan_dat_Mean": {"data": 0.6},
    "plcd_vce_Mean": {"mou_Mean": 0.93},
    "plcd_dat_Mean": {"data": 0.95},
    "recv_vce_Mean": {"usage": 0.8},
    "recv_sms_Mean": {"data": 0.4},
    "comp_vce_Mean": {"plcd_vce_Mean": 0.98},
    "comp_dat_Mean": {"plcd_dat_Mean": 0.98},
    "custcare_Mean": {"care": 0.85, "usage": 0.25},
    "ccrndmou_Mean": {"custcare_Mean": 0.93},
    "cc_mou_Mean": {"custcare_Mean": 0.93},
    "inonemin_Mean": {"usage": 0.75},
    "threeway_Mean": {"usage": 0.4},
    "mou_cvce_Mean": {"comp_vce_Mean": 0.95},
    "mou_cdat_Mean": {"comp_dat_Mean": 0.95},
    "mou_rvce_Mean": {"recv_vce_Mean": 0.9},
    "owylis_vce_Mean": {"usage": 0.72},
    "mouowylisv_Mean": {"owylis_vce_Mean": 0.9},
    "iwylis_vce_Mean": {"usage": 0.6},
    "mouiwylisv_Mean": {"iwylis_vce_Mean": 0.9},
    "peak_vce_Mean": {"comp_vce_Mean": 0.9},
    "peak_dat_Mean": {"comp_dat_Mean": 0.85},
    "mou_peav_Mean": {"peak_vce_Mean": 0.95},
    "mou_pead_Mean": {"peak_dat_Mean": 0.95},
    "opk_vce_Mean": {"comp_vce_Mean": 0.85},
    "opk_dat_Mean": {"comp_dat_Mean": 0.85},
    "mou_opkv_Mean": {"opk_vce_Mean": 0.95},
    "mou_opkd_Mean": {"opk_dat_Mean": 0.95},
    "callfwdv_Mean": {"usage": 0.1},
    "callwait_Mean": {"usage": 0.55},
    "months": {"tenure": 0.9},
    "uniqsubs": {"household": 0.6},
    "actvsubs": {"uniqsubs": 0.75},
    "new_cell": {"tenure": -0.4},
    "asl_flag": {"plan": -0.35},
    "totcalls": {"usage": 0.68, "tenure": 0.58},
    "totmou": {"totcalls": 0.95},
    "totrev": {"plan": 0.55, "tenure": 0.65, "usage": 0.25},
    "adjrev": {"totrev": 0.995},
    "adjmou": {"totmou": 0.999},
    "adjqty": {"totcalls": 0.999},
    "avg6mou": {"mou_Mean": 0.95},
    "avg6qty": {"plcd_vce_Mean": 0.93},
    "avg6rev": {"rev_Mean": 0.95},
    "avg3mou": {"mou_Mean": 0.985},
    "avg3qty": {"avg6qty": 0.95},
    "avg3rev": {"rev_Mean": 0.985},
    "avgrev": {"avg6rev": 0.9},
    "avgmou": {"avg6mou": 0.9},
    "avgqty": {"avg6qty": 0.92},
    "area": {},
    "dualband": {"handset": 0.4},
    "refurb_new": {"handset": -0.3},
    "hnd_price": {"handset": 0.75, "plan": 0.3},
    "phones": {"tenure": 0.55, "household": 0.3},
    "models": {"phones": 0.85},
    "hnd_webcap": {"handset": -0.45},
    "truck": {"household": 0.5},
    "rv": {"household": 0.5},
    "marital": {},
    "forgntvl": {"plan": 0.25},
    "ethnic": {},
    "kid0_2": {"household": 0.4},
    "kid3_5": {"household": 0.4},
    "kid6_10": {"household": 0.4},
    "kid11_15": {"household": 0.4},
    "kid16_17": {"household": 0.4},
    "creditcd": {"plan": 0.25},
    "eqpdays": {"handset": -0.55, "tenure": 0.5},
}

#: A column that is the sum of others in the original data as well.
SUMS: dict[str, tuple[str, ...]] = {
    "ovrrev_Mean": ("vceovr_Mean", "datovr_Mean"),
    "drop_blk_Mean": ("drop_vce_Mean", "drop_dat_Mean", "blck_vce_Mean", "blck_dat_Mean"),
    "attempt_Mean": ("plcd_vce_Mean", "plcd_dat_Mean"),
    "complete_Mean": ("comp_vce_Mean", "comp_dat_Mean"),
}

#: Share of each category, in the order of the schema. Yes/no flags of households are rare.
SHARES: dict[str, tuple[float, ...]] = {
    "new_cell": (0.67, 0.19, 0.14),
    "asl_flag": (0.86, 0.14),
    "area": (
        0.036, 0.052, 0.050, 0.052, 0.061, 0.052, 0.032, 0.071, 0.028, 0.051,
        0.036, 0.059, 0.115, 0.063, 0.030, 0.057, 0.064, 0.034, 0.057,
    ),
    "dualband": (0.72, 0.23, 0.05),
    "refurb_new": (0.86, 0.14),
    "hnd_webcap": (0.80, 0.06, 0.14),
    "marital": (0.18, 0.31, 0.05, 0.38, 0.08),
    "ethnic": (
        0.335, 0.120, 0.049, 0.130, 0.022, 0.011, 0.020, 0.007, 0.135, 0.060,
        0.009, 0.030, 0.012, 0.022, 0.016, 0.016, 0.006,
    ),
    "kid0_2": (0.95, 0.05),
    "kid3_5": (0.94, 0.06),
    "kid6_10": (0.91, 0.09),
    "kid11_15": (0.90, 0.10),
    "kid16_17": (0.89, 0.11),
    "creditcd": (0.60, 0.40),
}  # fmt: skip

PRICES = np.array([9.99, 29.99, 39.99, 59.99, 79.99, 99.99, 129.99, 149.99, 199.99, 249.99, 299.99, 399.99])
COUNTS = ("uniqsubs", "actvsubs", "phones", "models")
FLAGS = ("truck", "rv", "forgntvl")
CHANGES = ("change_mou", "change_rev")
LEAST_MONTHS = 6
#: As many as the original data carries (its averages over three months end in 0.3333333333).
DECIMALS = 10
# What a drawn normal is rounded to: its own last digits, far in the tails, depend on the processor.
NORMAL_STEP = 2.0**-20


@dataclass(frozen=True)
class Shift:
    """How one part of the data differs from the population the schema describes.

    ``traits``: added to a trait, in deviations. ``area``: factor on the share of every second area.
    ``reasons``: factor on the weight of a reason to leave.
    """

    traits: Mapping[str, float] = field(default_factory=dict)
    area: float = 1.0
    reasons: Mapping[str, float] = field(default_factory=dict)


NO_SHIFT = Shift()
LATER_SHIFT = Shift(
    traits={"usage": -0.2, "plan": 0.25, "handset": -0.2, "quality": 0.15},
    area=1.5,
    reasons={"ageing handset": 0.7, "card": 1.2, "contract": 0.5, "price": 1.5, "dropped calls": -0.2},
)


def sample(
    schema: Mapping[str, Any], rows: int, rng: np.random.Generator, shift: Shift = NO_SHIFT
) -> dict[str, np.ndarray[Any, Any]]:
    """Draw ``rows`` customers: every column of the schema by name, in its order, the label included."""
    z = _latents(rows, rng, shift)
    facts = {column["name"]: column for column in schema["columns"]}
    drawn = {name: _column(facts[name], z[name], shift) for name in FOLLOWS}
    for name, parts in SUMS.items():
        drawn[name] = np.round(sum(drawn[part] for part in parts), DECIMALS)
    label = next(name for name, fact in facts.items() if fact["kind"] == "label")
    drawn[label] = (rng.random(rows) < churn_probability(z, drawn, shift)).astype(np.int64)
    return {name: drawn[name] for name in facts}


def churn_probability(
    z: Mapping[str, np.ndarray[Any, Any]], columns: Mapping[str, np.ndarray[Any, Any]], shift: Shift = NO_SHIFT
) -> np.ndarray[Any, Any]:
    """Probability of leaving, from the columns' normals and the drawn columns.

    The first three reasons are what a linear model sees; the others change sign with a second column, or
    bump at the end of a contract of one or two years.
    """
    months = columns["months"]
    card = np.where(columns["creditcd"] == "Y", 1.0, -1.0)
    cliff = sum(marginals.exp(-np.square((months - end) / 2.5)) for end in (12, 24))
    reasons = {
        "price": 0.40 * z["totmrc_Mean"],
        "falling use": -0.45 * z["change_mou"],
        "old handset": 0.45 * z["eqpdays"],
        "ageing handset": -0.95 * z["eqpdays"] * z["change_mou"],
        "card": 0.85 * card * z["rev_Mean"],
        "dropped calls": 0.75 * z["drop_vce_Mean"] * z["hnd_price"],
        "contract": 1.3 * (cliff - 0.33),
    }
    weight = {name: shift.reasons.get(name, 1.0) for name in reasons}
    score = sum(weight[name] * reason for name, reason in reasons.items())
    return 1 / (1 + marginals.exp(-score))


def _latents(rows: int, rng: np.random.Generator, shift: Shift) -> dict[str, np.ndarray[Any, Any]]:
    z = {trait: _normals(rows, rng) + shift.traits.get(trait, 0.0) for trait in TRAITS}
    for name, parents in FOLLOWS.items():
        own = np.sqrt(1 - sum(weight * weight for weight in parents.values()))
        z[name] = own * _normals(rows, rng)
        for parent, weight in parents.items():
            z[name] += weight * z[parent]
    return z


def _normals(rows: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    return np.rint(rng.standard_normal(rows) / NORMAL_STEP) * NORMAL_STEP


def _column(fact: Mapping[str, Any], z: np.ndarray[Any, Any], shift: Shift) -> np.ndarray[Any, Any]:
    if fact["kind"] == "categorical":
        return np.array(fact["categories"])[marginals.category(z, _shares(fact["name"], shift))]
    values = _numbers(fact["name"], z, fact["mean"], fact["std"])
    if fact["dtype"] == "int":
        return np.rint(values).astype(np.int64)
    return np.round(values.astype(np.float64), DECIMALS)


def _numbers(name: str, z: np.ndarray[Any, Any], mean: float, std: float) -> np.ndarray[Any, Any]:
    if name in CHANGES:
        return marginals.change(z, mean, std)
    if name in COUNTS:
        return marginals.count_from(z, mean, std)
    if name in FLAGS:
        return marginals.flag(z, mean)
    if name == "hnd_price":
        return marginals.price(z, mean, std, PRICES)
    if name == "months":
        return LEAST_MONTHS + marginals.lognormal(z, mean - LEAST_MONTHS, std)
    return marginals.usage(z, mean, std)


def _shares(name: str, shift: Shift) -> np.ndarray[Any, Any]:
    shares = np.array(SHARES[name])
    if name == "area":
        shares[::2] *= shift.area
    return shares / shares.sum()
