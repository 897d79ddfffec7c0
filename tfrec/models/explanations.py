"""Why items suit a shopper: what each feature and each item of the history adds to a score."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrec.embeddings.features import Column, Features
from tfrec.features import FeatureSpec
from tfrec.models.base import Template
from tfrec.models.closed_form.fitted import EXACT, LEAVE_ONE_OUT, Scorer
from tfrec.models.integrated_gradients import (
    POINTS,
    Attribution,
    integrated_gradients,
    values_of,
)
from tfrec.models.ranking import RankingTemplate
from tfrec.models.retrieval import RetrievalTemplate
from tfrec.models.sequential import Sequential

INTEGRATED_GRADIENTS, NO_HISTORY = "integrated_gradients", "none"
"""How the parts of a history were found."""

BUY_AGAIN, POPULAR = "buy_again", "popular"
BECAUSE_YOU_BOUGHT, BECAUSE_OF = "because_you_bought:", "because_of:"
"""Reasons; an id or a feature comes behind the last two."""

_VECTOR = "_item_vector"

Raw = Mapping[str, tf.Tensor]
Tensors = dict[str, tf.Tensor]
Transform = Callable[[Raw], Features]


class Parts(NamedTuple):
    """What scores are made of.

    Attributes:
      scores: `[batch, n]` float32.
      baselines: `[batch, n]` float32, the scores for a shopper of whom nothing is known.
      features: names of features.
      of_features: `[batch, n, features]` float32, what each adds to the baseline.
      history_feature: which of them is the history of items; None without one.
      history: `[batch, places]` strings, the ids in it.
      of_history: `[batch, n, places]` float32, what each adds.
      method: how `of_history` was found.
    """

    scores: tf.Tensor
    baselines: tf.Tensor
    features: Sequence[str]
    of_features: tf.Tensor
    history_feature: str | None
    history: tf.Tensor
    of_history: tf.Tensor
    method: str


def answer(parts: Parts, items: tf.Tensor, known: tf.Tensor) -> Tensors:
    """Makes the outputs of `explain`.

    Args:
      parts: what the scores are made of.
      items: `[batch, n]` strings, the ids of what was scored.
      known: `[batch, n]` bool; numbers of others are NaN, and they have no reason.

    Returns:
      `scores`, `baseline_scores`, `feature_contributions` and `history_contributions`, as in
      `parts`; `remainder`, `[batch, n]`, what of the score they leave unexplained; `reasons`,
      strings `[batch, n]`; `features`, strings `[batch, features]`, `history`, strings
      `[batch, places]`, and `history_method`, strings `[batch]`.
    """
    batch = tf.shape(items)[0]
    numbers = {
        "scores": parts.scores,
        "baseline_scores": parts.baselines,
        "remainder": _remainder(parts),
        "feature_contributions": parts.of_features,
        "history_contributions": parts.of_history,
    }
    return {
        **{name: _where(known, values) for name, values in numbers.items()},
        "reasons": tf.where(known & tf.math.is_finite(parts.scores), _reasons(parts, items), ""),
        "features": tf.tile(tf.constant([list(parts.features)]), [batch, 1]),
        "history": parts.history,
        "history_method": tf.fill([batch], parts.method),
    }


def explain_retrieval(
    model: RetrievalTemplate, transform: Transform, item: str, raw: Raw, vectors: tf.Tensor
) -> Parts:
    """Explains dot products of a query's vector with those of items.

    Args:
      model: a template.
      transform: makes transformed features of raw ones.
      item: the feature that holds the items' ids.
      raw: raw features of the query, `[batch]`.
      vectors: `[batch, n, dim]` float32, of items.

    Returns:
      The parts of the scores.
    """
    batch, n, _ = tf.unstack(tf.shape(vectors))
    owners = tf.repeat(tf.range(batch), n)
    features = transform(_with_nobody(raw))
    embedded = _unpooled(model, features, model.embedded_query(features))

    def score(path: dict[str, Column]) -> tf.Tensor:
        candidates = values_of(path.pop(_VECTOR))
        return tf.reduce_sum(model.query_vectors(_pooled(model, path)) * candidates, -1)

    nobody = tf.fill(tf.shape(owners), batch)
    found = integrated_gradients(
        score,
        {name: tf.gather(column, owners) for name, column in embedded.items()},
        {name: tf.gather(column, nobody) for name, column in _dense(embedded).items()},
        {_VECTOR: tf.reshape(vectors, [-1, model.embedding_dim])},
        1 if model.is_linear else POINTS,
    )
    method = EXACT if model.is_linear else INTEGRATED_GRADIENTS
    return _parts(model, item, raw, found, n, method)


def explain_sequential(
    model: Sequential, transform: Transform, raw: Raw, vectors: tf.Tensor
) -> Parts:
    """Explains dot products of what an encoder makes of a history with items.

    The score is all the history's: without one it is 0. What an item of it adds is what the score
    loses without its place, for the encoder is no sum: all of a history need not be its score.

    Args:
      model: a template.
      transform: makes transformed features of raw ones.
      raw: raw features of the query, `[batch]`.
      vectors: `[batch, n, dim]` float32, of items.

    Returns:
      The parts of the scores.
    """
    lists = model.embedded_query(transform(raw))[model.sequence]
    owners = lists.value_rowids()
    queries = model.query_vectors({model.sequence: lists})
    lost = tf.gather(queries, owners) - model.query_vectors({model.sequence: _left_out(lists)})
    scores = tf.linalg.matvec(vectors, queries)  # [batch, n]
    each = tf.linalg.matvec(tf.gather(vectors, owners), lost)  # [values, n]
    ids = raw[model.sequence]
    shape = tf.concat([tf.shape(ids), tf.shape(vectors)[1:2]], 0)
    of_history = tf.scatter_nd(tf.where(ids != ""), each, tf.cast(shape, tf.int64))
    return Parts(
        scores,
        tf.zeros_like(scores),
        [model.sequence],
        scores[..., tf.newaxis],
        model.sequence,
        ids,
        tf.transpose(of_history, [0, 2, 1]),
        LEAVE_ONE_OUT,
    )


def explain_ranking(
    model: RankingTemplate,
    transform: Transform,
    item: str,
    raw: Raw,
    items: Features,
    n: tf.Tensor,
    score: Callable[[dict[str, tf.Tensor]], tf.Tensor],
) -> Parts:
    """Explains scores that are made of what a ranker predicts.

    Args:
      model: a template.
      transform: makes transformed features of raw ones.
      item: the feature that holds the items' ids.
      raw: raw features of the query, `[batch]`.
      items: transformed features of items, `[batch * n]`, those of the first query first.
      n: how many items each query has.
      score: makes `[any]` scores of the predictions, task -> `[any]`.

    Returns:
      The parts of the scores; what an item is counts to its baseline.
    """
    batch = tf.shape(next(iter(raw.values())))[0]
    pairs = batch * n
    query = transform(_with_nobody(raw))
    # Each pair, and then each with nobody in the place of its shopper.
    owners = tf.concat([tf.repeat(tf.range(batch), n), tf.fill([pairs], batch)], 0)
    features = {name: tf.gather(query[name], owners) for name in model.query_features}
    features |= {name: tf.concat([column, column], 0) for name, column in items.items()}
    embedded = model.embed(features)
    of_items = {
        name: column[:pairs] for name, column in embedded.items() if name in model.item_features
    }
    of_query = {name: column for name, column in embedded.items() if name not in of_items}
    inputs = _unpooled(model, features, of_query)

    found = integrated_gradients(
        lambda path: score(model.predictions(_pooled(model, path))),
        {name: column[:pairs] for name, column in inputs.items()},
        {name: column[pairs:] for name, column in _dense(inputs).items()},
        of_items,
    )
    return _parts(model, item, raw, found, n, INTEGRATED_GRADIENTS)


def history_of(spec: FeatureSpec, item: str, names: Sequence[str]) -> str | None:
    """The longest history of items among some features; None if there is none.

    Args:
      spec: the features.
      item: the feature that holds the items' ids.
      names: features to choose from.
    """
    lengths = {n: spec.sequences[n].last for n in names if n in spec.sequences}
    found = [name for name in lengths if spec.sequences[name].of == item]
    return max(found, key=lambda name: lengths[name], default=None)


def explain_history(
    scorer: Scorer, history: str, ids: tf.Tensor, places: tf.Tensor, rows: tf.Tensor
) -> Parts:
    """Explains what a model in closed form makes of a history.

    Args:
      scorer: the model.
      history: name of the feature.
      ids: `[batch, places]` strings, what it holds.
      places: `[batch, places]` int64, the rows of these items, -1 where there is none.
      rows: `[batch, n]` int64, the items that are scored.

    Returns:
      The parts of the scores.
    """
    nobody = tf.fill([1, tf.shape(places)[1]], tf.constant(-1, tf.int64))
    of_all = scorer(tf.concat([places, nobody], 0))  # [batch + 1, items]
    of_history = scorer.contributions(places, rows)
    return Parts(
        tf.gather(of_all[:-1], rows, batch_dims=1),
        tf.gather(of_all[-1], rows),
        [history],
        tf.reduce_sum(of_history, -1, keepdims=True),
        history,
        ids,
        of_history,
        scorer.explains,
    )


def _parts(
    model: Template, item: str, raw: Raw, found: Attribution, n: tf.Tensor, method: str
) -> Parts:
    """Gives pairs of a query and an item, `[batch * n]`, their places."""
    batch = tf.shape(next(iter(raw.values())))[0]
    used = [name for name in model.query_features if name in found.parts]
    used += [name for name in found.parts if name not in model.query_features]
    totals = tf.stack([_total(found.parts[name]) for name in used], -1)
    history = history_of(model.spec, item, used)
    if history is None:
        ids, method = tf.fill([batch, 0], ""), NO_HISTORY
        of_history = tf.zeros([batch * n, 0])
    else:
        ids = raw[history]
        repeated = tf.repeat(ids, n, axis=0)  # [batch * n, places]
        # Empty places hold no value; the others keep their order.
        of_history = tf.scatter_nd(
            tf.where(repeated != ""),
            values_of(found.parts[history]),
            tf.shape(repeated, tf.int64),
        )
    return Parts(
        tf.reshape(found.outputs, [batch, n]),
        tf.reshape(found.baselines, [batch, n]),
        # What a model makes of several features at once has a name that begins with "_".
        [name.lstrip("_") for name in used],
        tf.reshape(totals, [batch, n, len(used)]),
        history,
        ids,
        tf.reshape(of_history, [batch, n, tf.shape(ids)[1]]),
        method,
    )


def _reasons(parts: Parts, items: tf.Tensor) -> tf.Tensor:
    """A code for each item: of the feature that adds most, if it is above its baseline."""
    best = tf.argmax(parts.of_features, -1)  # [batch, n]
    reasons = tf.gather([BECAUSE_OF + name for name in parts.features], best)
    if parts.history_feature is not None:
        strongest = _strongest(parts)
        bought = tf.where(strongest == items, BUY_AGAIN, BECAUSE_YOU_BOUGHT + strongest)
        is_history = best == parts.features.index(parts.history_feature)
        reasons = tf.where(is_history & (strongest != ""), bought, reasons)
    adds = tf.reduce_max(parts.of_features, -1) > 0
    return tf.where(adds & (parts.scores > parts.baselines), reasons, POPULAR)


def _strongest(parts: Parts) -> tf.Tensor:
    """The item of the history that adds most, all its places together: `[batch, n]` strings."""
    ids = tf.pad(parts.history, [[0, 0], [0, 1]])  # an empty place, so that there is one
    of_places = tf.pad(parts.of_history, [[0, 0], [0, 0], [0, 1]])
    batch, width = tf.unstack(tf.shape(ids))
    # Equal ids have one number, and the first place of it in their order is where they add up.
    numbers = tf.reshape(tf.unique(tf.reshape(ids, [-1])).idx, [batch, width])
    slots = tf.searchsorted(tf.sort(numbers, axis=1), numbers)
    slots += width * tf.range(batch)[:, tf.newaxis]
    each = tf.reshape(tf.transpose(of_places, [0, 2, 1]), [batch * width, -1])
    sums = tf.math.unsorted_segment_sum(each, tf.reshape(slots, [-1]), batch * width)
    sums = tf.where(ids[..., tf.newaxis] == "", -np.inf, tf.gather(sums, slots))
    return tf.gather(ids, tf.argmax(sums, 1), batch_dims=1)


def _remainder(parts: Parts) -> tf.Tensor:
    """What parts leave unexplained; nothing where a score or its baseline is infinite."""
    rest = parts.scores - parts.baselines - tf.reduce_sum(parts.of_features, -1)
    return tf.where(tf.math.is_finite(rest), rest, 0.0)


def _where(known: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    for _ in range(values.shape.rank - 2):
        known = known[..., tf.newaxis]
    return tf.where(known, values, np.nan)


def _with_nobody(raw: Raw) -> Tensors:
    """Adds a row of a shopper of whom nothing is known."""

    def nothing(column: tf.Tensor) -> tf.Tensor:
        if column.dtype == tf.string:
            return tf.fill(tf.shape(column[:1]), "")
        missing = np.nan if column.shape.rank == 1 else 0.0
        return tf.fill(tf.shape(column[:1]), tf.cast(missing, column.dtype))

    return {name: tf.concat([column, nothing(column)], 0) for name, column in raw.items()}


def _unpooled(
    model: Template, features: Features, embedded: Mapping[str, Column]
) -> dict[str, Column]:
    """Puts embedded lists in the place of what they are pooled to."""
    lists = {n: features[n] for n in embedded if isinstance(features.get(n), tf.RaggedTensor)}
    values = model.embedding({name: column.flat_values for name, column in lists.items()})
    return {**embedded, **{n: lists[n].with_flat_values(values[n]) for n in lists}}


def _pooled(model: Template, columns: Mapping[str, Column]) -> dict[str, Column]:
    """Pools lists as the model does."""
    return {
        name: model.embedding.pooled(name, column)
        if isinstance(column, tf.RaggedTensor)
        else column
        for name, column in columns.items()
    }


def _left_out(lists: tf.RaggedTensor) -> tf.RaggedTensor:
    """Each list once for each of its values, without it: ragged `[values, values, dim]`."""
    count = tf.shape(lists.flat_values)[0]
    numbers = tf.gather(lists.with_flat_values(tf.range(count)), lists.value_rowids())
    own = numbers.value_rowids()
    there = numbers.flat_values != tf.cast(own, tf.int32)
    values = tf.gather(lists.flat_values, tf.boolean_mask(numbers.flat_values, there))
    rows = tf.boolean_mask(own, there)
    return tf.RaggedTensor.from_value_rowids(values, rows, tf.cast(count, tf.int64), validate=False)


def _dense(columns: Mapping[str, Column]) -> Tensors:
    return {n: column for n, column in columns.items() if not isinstance(column, tf.RaggedTensor)}


def _total(part: Column) -> tf.Tensor:
    """What a feature adds, all values of its lists together: `[rows]`."""
    return tf.reduce_sum(part, -1) if isinstance(part, tf.RaggedTensor) else part
