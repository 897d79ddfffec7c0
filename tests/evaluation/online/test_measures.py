from collections.abc import Callable

import pytest

from tfrec.errors import UserError
from tfrec.evaluation.online.measures import MEASURES, measure_log

DAY = 86_400
END = ["z", "z", 30 * DAY, "end", "zz", "", "", ""]


def figure(log_of: Callable, metric: str, rows: list[list], **changes: object) -> tuple:
    """Numerator, denominator and what is left out of a log that goes on for 30 days."""
    found, _ = measure_log(*log_of([*rows, END[: len(rows[0])]], metrics=[metric], **changes))
    sums = found[metric]
    return sums.numerators.sum(), sums.denominators.sum(), sums.left_out


def test_impression_counts_as_clicked_once_and_soon(log_of: Callable) -> None:
    rows = [
        ["u", "a", 0, "impression"], ["u", "a", 5, "click"], ["u", "a", 6, "click"],
        ["u", "b", 0, "impression"], ["u", "b", 1801, "click"],
        ["v", "a", 0, "impression"], ["v", "b", 3, "click"],
        ["v", "a", 30 * DAY - 5, "impression"],
    ]  # fmt: skip

    assert figure(log_of, "click_through", rows) == (1, 3, {"impressions too young": 1})


def test_click_counts_as_converted_within_the_window(log_of: Callable) -> None:
    rows = [
        ["u", "a", 0, "click"], ["u", "a", 6 * DAY, "purchase"],
        ["v", "a", 0, "click"], ["v", "a", 8 * DAY, "order"],
        ["v", "b", 25 * DAY, "click"], ["v", "b", 26 * DAY, "order"],
    ]  # fmt: skip

    assert figure(log_of, "conversion", rows) == (1, 2, {"clicks too young": 1})
    assert figure(log_of, "conversion", rows, order_within="9d")[:2] == (2, 2)
    assert figure(log_of, "conversion", rows, late="weight") == (1 + 3 / 2, 3, {})


def test_revenue_counts_every_session(log_of: Callable) -> None:
    rows = [
        ["u", "a", 0, "click", "1", ""], ["u", "a", 9, "order", "1", 8],
        ["u", "a", DAY, "view", "2", ""], ["v", "a", DAY, "order", "3", ""],
    ]  # fmt: skip

    sums = figure(log_of, "revenue_per_session", rows)

    assert sums == (8, 4, {"orders without money": 1})  # the end is a session, too


def test_session_with_two_orders_counts_once(log_of: Callable) -> None:
    rows = [
        ["u", "a", 0, "order"], ["u", "b", 9, "order"],
        ["u", "a", DAY, "order"], ["v", "a", DAY, "click"],
    ]  # fmt: skip

    assert figure(log_of, "order_sessions", rows) == (2, 4, {})


def test_click_is_long_until_the_sessions_next_event(log_of: Callable) -> None:
    rows = [
        ["u", "a", 0, "click"], ["u", "b", 30, "click"], ["u", "c", 59, "view"],
        ["u", "d", 99, "click"],
    ]  # fmt: skip

    assert figure(log_of, "long_clicks", rows) == (1, 2, {"clicks that end their session": 1})


def test_logged_seconds_on_a_page_count_where_there_are_any(log_of: Callable) -> None:
    rows = [
        ["u", "a", 0, "click", "", "", "", 31], ["u", "b", 1, "click", "", "", "", 5],
        ["u", "b", 2, "click", "", "", "", ""],
    ]  # fmt: skip

    assert figure(log_of, "long_clicks", rows)[:2] == (1, 2)


def test_return_is_a_session_soon_after_the_end_of_one(log_of: Callable) -> None:
    rows = [
        ["u", "a", 0, "view"], ["u", "a", DAY, "view"], ["u", "a", 9 * DAY, "view"],
        ["v", "a", 29 * DAY, "view"],
    ]  # fmt: skip

    # The session of the end is too young, as well.
    assert figure(log_of, "returns", rows) == (1, 3, {"sessions too young": 2})


def test_hides_are_counted_for_each_impression(log_of: Callable) -> None:
    rows = [["u", "a", 0, "impression"], ["u", "b", 0, "impression"], ["u", "a", 9, "hide"]]

    assert figure(log_of, "hides", rows) == (1, 2, {})


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("click_through", "needs events of type impression, and the log has only click, end;"),
        ("revenue_per_session", "needs events of type order or purchase"),
        ("conversion", "needs events of type order or purchase"),
        ("hides", "needs events of type impression"),
        ("clicks_per_order", "not known; known: click_through, "),
    ],
)
def test_metric_that_the_log_cannot_give_is_refused_by_name(
    metric: str, reason: str, log_of: Callable
) -> None:
    with pytest.raises(UserError, match=f"^metrics: {metric}: {reason}"):
        figure(log_of, metric, [["u", "a", 0, "click"]])


def test_revenue_needs_a_column_of_money(log_of: Callable) -> None:
    with pytest.raises(UserError, match="revenue_per_session: needs the money of orders; say in"):
        figure(log_of, "revenue_per_session", [["u", "a", 0, "order"]])


def test_log_gives_what_it_can_and_says_what_not(log_of: Callable) -> None:
    rows = [["u", "a", 0, "click"], ["u", "b", 50, "click"], ["u", "b", 60, "order"]]

    found, not_given = measure_log(*log_of(rows))

    assert [*found] == ["order_sessions", "long_clicks"]
    assert not_given["conversion"].startswith("needs events at least 7 days before the log's end")
    assert not_given.keys() == MEASURES.keys() - found.keys()
