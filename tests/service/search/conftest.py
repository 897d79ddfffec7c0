"""The words of a small grocery."""

import pytest
from small_grocery import search_of, small_grocery

from tfrec.service.search.search import Search


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    return search_of(small_grocery(tmp_path_factory.mktemp("grocery")))
