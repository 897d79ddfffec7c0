"""Times the allocation of offers to shoppers, beside HiGHS on the same problem.

Values are made up, a fifth of them worth nothing; an offer costs 0.5 to 5 and a shopper gets at
most three. The budget pays for a third of what would be given without one. HiGHS, which SciPy's
`linprog` calls, may give offers in parts and solves a smaller problem, since its time grows faster;
both are timed on that. Times are of the processor, so that what else runs does not count.
"""

import json
import time

import click
import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from tfrec.service.allocation import Allocation, allocate

USERS, OFFERS = 2_469, 400
SMALL = 500, 60
MOST = 3

EPILOGUE = """
\b
Examples:
  python benchmarks/allocation.py
  python benchmarks/allocation.py --quick
"""


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="A tenth of the shoppers beside HiGHS.")
def main(quick: bool) -> None:
    values, costs, budget = make(USERS, OFFERS)
    made, seconds = timed(values, costs, budget)
    print(f"{USERS:,} shoppers, {OFFERS} offers: {seconds:.2f} s, {made.chosen.sum():,} given")
    print(f"regret at most {made.regret / made.value:.5%} of the value, price {made.price:.3f}")
    values, costs, budget = make(SMALL[0] // 10 if quick else SMALL[0], SMALL[1])
    small, small_seconds = timed(values, costs, budget)
    started = time.process_time()
    best = solve(values, costs, budget)
    peer_seconds = time.process_time() - started
    assert abs(small.bound - best) < 1e-6 * best, (small.bound, best)
    print(
        f"{len(values):,} shoppers, {SMALL[1]} offers: {small_seconds:.3f} s, "
        f"HiGHS {peer_seconds:.2f} s; the bound is HiGHS's optimum"
    )
    figures = {
        "seconds": round(seconds, 3),
        "regret_share": round(made.regret / made.value, 8),
        "vs_highs": round(peer_seconds / small_seconds, 1),
    }
    print(json.dumps(figures))


def make(users: int, offers: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Values, costs and the budget."""
    random = np.random.default_rng(0)
    values = random.gamma(1, 3, (users, offers)) * random.normal(1, 0.3, (users, 1))
    values[random.random(values.shape) < 0.2] = 0
    costs = random.uniform(0.5, 5, offers) * random.uniform(0.8, 1.2, (users, offers))
    free = allocate(values, costs, costs.sum(), MOST)
    return values, costs, free.cost / 3


def timed(values: np.ndarray, costs: np.ndarray, budget: float) -> tuple[Allocation, float]:
    """The allocation, and the fastest of three times."""
    times = []
    for _ in range(3):
        started = time.process_time()
        made = allocate(values, costs, budget, MOST)
        times.append(time.process_time() - started)
    return made, min(times)


def solve(values: np.ndarray, costs: np.ndarray, budget: float) -> float:
    """The best value where offers can be given in parts, by HiGHS."""
    users, offers = values.shape
    by_user = sparse.kron(sparse.eye(users), np.ones((1, offers)))
    limits = sparse.vstack([sparse.csr_matrix(costs.reshape(1, -1)), by_user], format="csr")
    most = np.r_[budget, np.full(users, MOST)]
    found = linprog(-values.ravel(), limits, most, bounds=(0, 1), method="highs")
    return -float(found.fun)


if __name__ == "__main__":
    main()
