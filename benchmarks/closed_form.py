"""Times the fits of EASE, ItemKNN and iALS, each beside the plain way to write it.

The log is made up: 1,000,000 different pairs of 6,040 shoppers and 3,706 items, the shape of
MovieLens 1M, skewed on both sides. The plain ways are what one would write first: a dense product
and a general inverse; the whole product and a sort of each item's column; a loop that solves one
shopper's or one item's system at a time. Both must arrive at the same model.
"""

import json
import time
from collections.abc import Callable

import click
import numpy as np
from scipy import sparse

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form import EASE, IALS, ClosedForm, ItemKNN

USERS, ITEMS, PAIRS = 6_040, 3_706, 1_000_000
SECONDS = 60

EPILOGUE = """
\b
Examples:
  python benchmarks/closed_form.py
  python benchmarks/closed_form.py --quick
"""


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="A tenth of the pairs, and few iterations.")
def main(quick: bool) -> None:
    log = make_log(USERS, ITEMS, PAIRS // 10 if quick else PAIRS)
    iterations = 2 if quick else IALS.Settings().iterations
    sides: list[tuple[ClosedForm, Callable[[sparse.csr_matrix], np.ndarray]]] = [
        (EASE(), plain_ease),
        (ItemKNN(), plain_item_knn),
        (IALS(IALS.Settings(iterations=iterations)), plain_ials(iterations)),
    ]
    result = {}
    for model, plain in sides:
        name = {"EASE": "ease", "ItemKNN": "item_knn", "IALS": "ials"}[type(model).__name__]
        started = time.perf_counter()
        model.fit(log)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        expected = plain(log.matrix())
        plain_seconds = time.perf_counter() - started
        check(model.scores(log.matrix()[:200]), expected)
        print(
            f"{name:9} {seconds:7.2f} s, plain {plain_seconds:7.2f} s: "
            f"{plain_seconds / seconds:.1f} times as fast",
            flush=True,
        )
        result[f"{name}_seconds"] = round(seconds, 2)
    print(f"under {SECONDS} s each are asked for")
    print(json.dumps(result))


def make_log(n_users: int, n_items: int, n_pairs: int) -> Interactions:
    """Draws different pairs: items by Zipf's law, shoppers by a log-normal one, each at least 1."""
    random = np.random.default_rng(0)
    activity = random.lognormal(sigma=1.0, size=n_users)
    popularity = 1 / (np.arange(n_items) + 50.0)
    cells = np.log(random.random(n_users * n_items)).reshape(n_users, n_items)
    cells /= np.outer(activity, popularity)  # the largest are a draw without replacement
    chosen = np.argpartition(-cells, n_pairs, axis=None)[:n_pairs]
    users, items = np.divmod(np.sort(chosen), n_items)
    ones, zeros = np.ones(n_pairs, np.float32), np.zeros(n_pairs, np.int64)
    return Interactions(users, items, ones, zeros, n_users, n_items)


def check(scores: np.ndarray, expected: np.ndarray) -> None:
    """Compares some shoppers' scores; equals at a neighbourhood's edge may fall either way."""
    known = np.isfinite(scores)
    apart = np.abs(scores[known] - expected[known]).mean() / np.abs(expected[known]).mean()
    assert apart < 1e-3, f"the plain way's scores differ by {apart:.2%} in the mean"


def plain_ease(chosen: sparse.csr_matrix) -> np.ndarray:
    x = chosen.toarray()
    inverse = np.linalg.inv(x.T @ x + EASE.Settings().l2 * np.eye(x.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return x[:200] @ weights


def plain_item_knn(chosen: sparse.csr_matrix) -> np.ndarray:
    together = (chosen.T @ chosen).toarray()
    norms = np.sqrt(np.diag(together))
    similar = together / np.maximum(np.outer(norms, norms), 1)
    np.fill_diagonal(similar, 0)
    for target in similar.T:
        target[np.argsort(-target)[ItemKNN.Settings().neighbours :]] = 0
    return chosen[:200] @ similar


def plain_ials(iterations: int) -> Callable[[sparse.csr_matrix], np.ndarray]:
    settings = IALS.Settings(iterations=iterations)

    def solve(chosen: sparse.csr_matrix, others: np.ndarray) -> np.ndarray:
        unobserved = settings.unobserved_weight * others.T @ others
        solved = np.zeros([chosen.shape[0], settings.dim], np.float32)
        for row in range(chosen.shape[0]):
            known = others[chosen.indices[chosen.indptr[row] : chosen.indptr[row + 1]]]
            penalty = settings.l2 * (len(known) + settings.unobserved_weight * len(others))
            left = known.T @ known + unobserved + penalty * np.eye(settings.dim, dtype=np.float32)
            solved[row] = np.linalg.solve(left, known.sum(axis=0))
        return solved

    def fit(chosen: sparse.csr_matrix) -> np.ndarray:
        by_item, shape = chosen.T.tocsr(), (chosen.shape[1], settings.dim)
        items = np.random.default_rng(settings.seed).normal(0, 0.1 / settings.dim**0.5, shape)
        items = items.astype(np.float32)
        for _ in range(iterations):
            items = solve(by_item, solve(chosen, items))
        return solve(chosen, items)[:200] @ items.T

    return fit


if __name__ == "__main__":
    main()
