"""The rules of a config, as part of a graph."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfrec.data.catalogue import Catalogue
from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.reranking.boost import boost
from tfrec.retrieval.reranking.calibrate import calibrate, category_shares
from tfrec.retrieval.reranking.cap import cap
from tfrec.retrieval.reranking.config import Boost, Cap, Mmr, Rules, Step
from tfrec.retrieval.reranking.item_tables import ItemTable, pinned_rows
from tfrec.retrieval.reranking.mmr import mmr
from tfrec.retrieval.reranking.pin import pin


class Reranker(tf.Module):
    """Makes lists of recommendations of an index's candidates, in stock TensorFlow ops.

    Example:
      >>> reranker = Reranker(rules, catalogue, embeddings)
      >>> rows, scores = index.search(queries, reranker.fetch(k), exclude)
      >>> rows, scores = reranker(rows, scores, k, exclude=exclude)
    """

    def __init__(
        self, rules: Rules, catalogue: Catalogue, vectors: np.ndarray | None = None, slots: int = 0
    ) -> None:
        """Looks up what the rules name.

        Args:
          rules: the `reranking` section.
          catalogue: the items.
          vectors: `[items, dim]` float32 by row of the catalogue, if the model has any.
          slots: how many changes of items there is room for.

        Raises:
          UserError: if a feature, a value or an item is not in the catalogue, or `mmr` has no
            vectors.
        """
        super().__init__()
        self._rules, self._items = rules, len(catalogue)
        self._tables = []
        for number, step in enumerate(rules.steps):
            where = f"reranking.steps.{number}"
            self._tables.append(ItemTable(step, where, catalogue, vectors, slots))
        self._pinned = tf.Variable(pinned_rows(rules.pinned, catalogue), False, dtype=tf.int64)
        self._places = tf.constant(list(rules.pinned.values()), tf.int32)

    @property
    def history(self) -> str | None:
        """The feature of queries whose rows it needs; see `Rules.history`."""
        return self._rules.history

    def fetch(self, k: tf.Tensor | int) -> tf.Tensor:
        """How many candidates to take from an index for lists of `k` items."""
        return tf.minimum(k * self._rules.candidates, self._items)

    def __call__(
        self,
        rows: tf.Tensor,
        scores: tf.Tensor,
        k: tf.Tensor | int,
        history: tf.Tensor | None = None,
        exclude: tf.Tensor | None = None,
        allowed: tf.Tensor | None = None,
        cells: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Applies the rules.

        Where items change, all rows are cells; see `LiveIndex`.

        Args:
          rows: `[batch, n]` int64 candidates, best first; `NO_ITEM` where there is none. `n` is at
            least 1.
          scores: `[batch, n]` float32; -inf there.
          k: length of the lists returned.
          history: `[batch, m]` int64 rows of what the shopper chose, filled up with `NO_ITEM`: the
            feature `Rules.history`; needed where the rules have one.
          exclude: as the index was told; an excluded item is not pinned.
          allowed: as the index was told; an item that is not allowed is not pinned.
          cells: the cell of each item, where items change.

        Returns:
          rows: `[batch, k]` int64; `NO_ITEM` behind the last item.
          scores: `[batch, k]` float32, not always falling; -inf behind the last item, and for a
            pinned one that was no candidate.
        """
        last = len(self._tables) - 1
        for number, (step, table) in enumerate(zip(self._rules.steps, self._tables, strict=True)):
            # A later step may leave items out, or take others.
            wanted = k if number == last else tf.shape(rows)[1]
            rows, scores = _apply(step, table, rows, scores, wanted, history)
        pinned = self._pinned_for(tf.shape(rows)[0], exclude, allowed, cells)
        return pin(rows, scores, pinned, tf.broadcast_to(self._places, tf.shape(pinned)), k)

    def write(
        self,
        slots: tf.Tensor,
        ids: tf.Tensor,
        features: Mapping[str, tf.Tensor],
        vectors: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Writes what is known of items that come or change.

        Args:
          slots: `[n]` integers.
          ids: `[n]` strings.
          features: raw item features, as `raw_inputs` describes them.
          vectors: `[n, dim]` float32.

        Returns:
          What depends on them happens afterwards.
        """
        return [table.write_items(slots, ids, features, vectors) for table in self._tables]

    def _pinned_for(
        self,
        batch: tf.Tensor,
        exclude: tf.Tensor | None,
        allowed: tf.Tensor | None,
        cells: tf.Tensor | None,
    ) -> tf.Tensor:
        """The pinned items that each list may show: `[batch, p]`, `NO_ITEM` for the others."""
        places = self._pinned if cells is None else tf.gather(cells, self._pinned)
        pinned = tf.repeat(places[tf.newaxis], batch, axis=0)
        no_item = tf.constant(NO_ITEM, tf.int64)
        if exclude is not None:
            banned = tf.equal(pinned[:, :, tf.newaxis], exclude[:, tf.newaxis, :])
            pinned = tf.where(tf.reduce_any(banned, axis=2), no_item, pinned)
        if allowed is not None:
            may = tf.gather(allowed, tf.maximum(places, 0), axis=1)
            pinned = tf.where(may, pinned, no_item)
        return pinned


def _apply(
    step: Step,
    table: ItemTable,
    rows: tf.Tensor,
    scores: tf.Tensor,
    k: tf.Tensor | int,
    history: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    known = table.gather(tf.maximum(rows, 0))
    if isinstance(step, Boost):
        return boost(rows, scores, known, k)
    if isinstance(step, Cap):
        return cap(rows, scores, known, step.limit, k)
    if isinstance(step, Mmr):
        return mmr(rows, scores, known, step.trade_off, k)
    if history is None:
        raise ValueError(f"{step.kind} by {step.feature} needs the rows of {step.history}")
    chosen = tf.where(history < 0, -1, table.gather(tf.maximum(history, 0)))
    target = category_shares(chosen, tf.reduce_max(table.built) + 1)
    return calibrate(rows, scores, known, target, step.strength, k)
