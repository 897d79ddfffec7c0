"""Finding items by their words."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from tfrec.data.catalogue import NAME, Catalogue
from tfrec.service.search.vocabulary import Vocabulary
from tfrec.service.search.words import words

_SATURATION, _LENGTH = 1.2, 0.5


class LexicalIndex:
    """Scores all items by the words of a question: BM25 over names and categories.

    Items with the same words are one document. A word of the question stands for those words of
    the catalogue that it may mean, each as far as that is sure.

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        """Reads the catalogue's words."""
        self._document, texts = pd.factorize(item_texts(catalogue))
        counter = CountVectorizer(analyzer=_words_of_lines, dtype=np.float32)
        try:
            counts = counter.fit_transform(texts)
        except ValueError:  # scikit-learn refuses texts without any word
            self.vocabulary = Vocabulary(())
            self._weights = sparse.csr_matrix((0, len(texts)), dtype=np.float32)
            return
        self.vocabulary = Vocabulary(counter.get_feature_names_out().tolist())
        self._weights = _bm25(counts).T.tocsr()

    def scores(self, asked: Mapping[str, float]) -> np.ndarray:
        """Scores every item.

        Args:
          asked: word of the question, as `words` gives it -> how much it matters.

        Returns:
          `[items]` float32 from 0 to 1: how much of the question an item's words answer, a rare
          word weighing more; 0 for an item that has none of them.
        """
        total = np.zeros(self._weights.shape[1], np.float32)
        most = 0.0
        for word, matters in asked.items():
            part, heaviest = np.zeros_like(total), 0.0
            for place, sure in self.vocabulary.matches(word):
                start, end = self._weights.indptr[place : place + 2]
                documents, weights = self._weights.indices[start:end], self._weights.data[start:end]
                # A rare way to write a common word does not make it a rare word.
                heaviest = heaviest or float(weights.max())
                sure *= min(1.0, heaviest / float(weights.max()))
                part[documents] = np.maximum(part[documents], weights * np.float32(sure))
            total += np.float32(matters) * part
            most += matters * (heaviest or self._unknown_weight)
        return (total / np.float32(max(most, 1e-9)))[self._document]

    def having(self, word: str, least_sure: float) -> np.ndarray:
        """Which items have a word, or one that it surely enough means: `[items]` bool."""
        has = np.zeros(self._weights.shape[1], bool)
        for place, sure in self.vocabulary.matches(word):
            if sure >= least_sure:
                start, end = self._weights.indptr[place : place + 2]
                has[self._weights.indices[start:end]] = True
        return has[self._document]

    @property
    def _unknown_weight(self) -> float:
        """What a word weighs that no item has: as one that a single item has."""
        return float(np.log1p(self._weights.shape[1]))


def item_texts(catalogue: Catalogue) -> np.ndarray:
    """Each item's name and categories, a line each: `[items]` strings."""
    table = catalogue.table
    parts = [table[NAME].combine_chunks().fill_null("")]
    for name in table.column_names:
        column = table[name].combine_chunks()
        if not name.startswith("_") and is_worded(column):
            parts.append(_joined(column).fill_null(""))
    return pc.binary_join_element_wise(*parts, "\n").to_numpy(zero_copy_only=False)


def is_worded(column: pa.Array) -> bool:
    """Whether a feature holds words, not numbers or codes made of digits alone."""
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    if not pa.types.is_string(kind):
        return False
    values = column.flatten() if pa.types.is_list(column.type) else column
    distinct = values.unique().drop_null().to_pylist()
    return sum(any(map(str.isalpha, value)) for value in distinct) > len(distinct) / 2


def _joined(column: pa.Array) -> pa.Array:
    return pc.binary_join(column, " ") if pa.types.is_list(column.type) else column


def _words_of_lines(text: str) -> list[str]:
    return [word for line in text.split("\n") for word in _words_of_line(line)]


@lru_cache(1 << 16)
def _words_of_line(line: str) -> tuple[str, ...]:
    return tuple(words(line))


def _bm25(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Counts of words `[documents, words]` -> their weights."""
    documents = counts.shape[0]
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    norms = _SATURATION * (1 - _LENGTH + _LENGTH * lengths / max(lengths.mean(), 1e-9))
    found = np.asarray((counts > 0).sum(axis=0)).ravel()
    rarity = np.log1p((documents - found + 0.5) / (found + 0.5))
    weights = counts.tocoo()
    parts = weights.data / (weights.data + norms[weights.row])
    return sparse.csr_matrix(
        ((rarity[weights.col] * parts).astype(np.float32), (weights.row, weights.col)),
        shape=counts.shape,
    )
