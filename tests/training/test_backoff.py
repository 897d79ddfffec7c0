from tfrec.training.backoff import Backoff


def test_waits_double_up_to_half_a_minute_and_then_there_is_none() -> None:
    backoff = Backoff(limit=7)

    waits = [backoff.fail() for _ in range(9)]

    assert waits == [1, 2, 4, 8, 16, 30, 30, None, None]


def test_a_success_begins_anew() -> None:
    backoff = Backoff(limit=1)
    backoff.fail()

    backoff.succeed()

    assert backoff.fail() == 1
    assert backoff.fail() is None


def test_without_restarts_the_first_failure_is_the_last() -> None:
    assert Backoff(limit=0).fail() is None
