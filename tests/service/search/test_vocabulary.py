import pytest

from tfrec.service.search.vocabulary import Vocabulary

KNOWN = ["chocolate", "choco", "milk", "frzn", "frozen", "butter", "corn", "cornflake", "2"]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(KNOWN)


def meant(vocabulary: Vocabulary, word: str) -> list[str]:
    return [vocabulary[place] for place, _ in vocabulary.matches(word)]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("milk", ["milk"]),
        ("frozen", ["frozen", "frzn"]),
        ("choclate", ["chocolate"]),
        ("chocolat", ["chocolate", "choco"]),
        ("cornfla", ["cornflake", "corn"]),
        ("bmilk", []),
        ("schokolade", []),
        ("222", []),
        ("巧克力", []),
    ],
)
def test_word_means_itself_its_abbreviations_and_what_is_written_alike(
    vocabulary: Vocabulary, word: str, expected: list[str]
) -> None:
    assert meant(vocabulary, word)[: len(expected)] == expected
    assert bool(meant(vocabulary, word)) == bool(expected)


def test_word_itself_is_surest(vocabulary: Vocabulary) -> None:
    (_, first), (_, second) = vocabulary.matches("frozen")

    assert first == 1
    assert 0 < second < 1


def test_known_word_is_not_taken_for_one_that_it_begins(vocabulary: Vocabulary) -> None:
    assert meant(vocabulary, "corn") == ["corn"]


def test_empty_vocabulary_knows_no_word() -> None:
    vocabulary = Vocabulary([])

    assert len(vocabulary) == 0
    assert vocabulary.matches("milk") == ()
    assert "milk" not in vocabulary
