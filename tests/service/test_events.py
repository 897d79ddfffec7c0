import math
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec.service.events import ANONYMOUS, Event, check_events

NOW = 1_700_000_000.0
GOOD = {"id": "e1", "type": "click", "user": "ann", "item": "apple", "time": NOW}


def check(**fields: Any) -> Event | str:
    (checked,) = check_events([GOOD | fields], NOW)
    return checked


def test_good_event_has_the_fields_that_were_sent() -> None:
    sent = {
        "type": "impression", "session": "s", "request": "r", "scenario": "home", "position": 3,
        "propensity": 0.25, "arm": "ranker=new", "team": "ranker=old", "quantity": 2,
        "price": 1.5, "rating": 4, "coupon": "c",
        "context": {"channel": "app", "age": 31, "tags": ["a", "b"]},
    }  # fmt: skip

    event = check(**sent)

    assert isinstance(event, Event)
    context = {"channel": "app", "age": 31.0, "tags": ("a", "b")}
    assert event.model_dump() == GOOD | sent | {"context": context}


def test_bad_events_of_a_batch_lose_no_good_ones() -> None:
    checked = check_events([GOOD, {}, "text", None, GOOD | {"id": "e2"}], NOW)

    assert [one.id if isinstance(one, Event) else None for one in checked] == [
        "e1", None, None, None, "e2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "stare"}, "type: 'stare': unknown; known: impression, view, click, cart, "),
        ({"user": None}, "neither user nor session; give one of them"),
        ({"user": ANONYMOUS + "x"}, "user: 'anonymous:x': begins like a session"),
        ({"id": ""}, "id: '': String should have at least 1 character"),
        ({"id": "x" * 257}, "id: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ({"id": True}, "id: True: Input should be a valid string"),
        ({"item": None}, "item: None: "),
        ({"item": "\ud800"}, "item: '\\ud800': Input should be a valid string"),
        ({"time": NOW + 61}, "time: 1700000061.0: 61 s in the future"),
        ({"time": NOW * 1000}, "time: 1700000000000.0: not in seconds since 1970"),
        ({"time": -1}, "time: -1.0: Input should be greater than or equal to 0"),
        ({"time": math.nan}, "time: nan: not in seconds since 1970"),
        ({"time": "soon"}, "time: 'soon': no time; give seconds since 1970 or ISO 8601"),
        ({"time": True}, "time: True: no time"),
        ({"position": 0}, "position: 0: "),
        ({"propensity": "nan"}, "propensity: 'nan': Input should be a finite number"),
        ({"position": 2**64}, "position: 18446744073709551616: "),
        ({"propensity": 0}, "propensity: 0: "),
        ({"quantity": 0}, "quantity: 0: "),
        ({"price": math.inf}, "price: inf: "),
        ({"colour": "red"}, "colour: unknown field; known: id, type, user"),
        ({"context": {"item": "x"}}, "context: {'item': 'x'}: 'item' is no feature's name"),
        ({"context": {"_time": 1}}, "context: {'_time': 1}: '_time' is no feature's name"),
        ({"context": {"a": {"b": 1}}}, "context: "),
        ({"context": {str(n): n for n in range(65)}}, "context: "),
    ],
)  # fmt: skip
def test_event_that_cannot_be_right_is_told_by_field_value_and_fault(
    fields: dict[str, Any], reason: str
) -> None:
    checked = check(**fields)

    assert isinstance(checked, str)
    assert checked.startswith(reason)
    assert len(checked) < 400


def _nested(depth: int) -> list:
    return [_nested(depth - 1)] if depth else []


@pytest.mark.parametrize("field", ["id", "type", "item", "time", "position", "context", "price"])
def test_deep_and_long_values_are_told_in_few_letters(field: str) -> None:
    for value in (_nested(900), "x" * 10**6, 10**4000, {"a": _nested(900)}, [[1] * 10**5] * 10):
        told = check(**{field: value})

        assert isinstance(told, str)
        assert len(told) < 400


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*Event.model_fields, "other"]), _JSON, max_size=5))
def test_whatever_is_sent_is_an_event_that_can_be_written_or_is_told(fields: dict) -> None:
    checked = check(**fields)

    if isinstance(checked, Event):
        assert Event.of_line(checked.line()) == checked
    else:
        assert 0 < len(checked) < 400


def test_missing_field_and_no_object_are_told() -> None:
    no_item = {name: value for name, value in GOOD.items() if name != "item"}

    assert check_events([no_item, 7], NOW) == [
        "item: missing",
        "not an object; send one with the fields of an event",
    ]


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (NOW + 60, NOW + 60),
        (12, 12),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20.500+01:00", NOW + 0.5),
        ("2023-11-14 22:13:20", NOW),
        (None, NOW),
    ],
)
def test_time_is_in_seconds_or_iso_8601_and_now_by_default(time: Any, seconds: float) -> None:
    event = check(time=time)

    assert isinstance(event, Event)
    assert event.time == seconds
    assert event.seconds == int(seconds)


def test_ids_that_are_numbers_become_text() -> None:
    event = check(id=7, user=2375, item=1029743)

    assert isinstance(event, Event)
    assert (event.id, event.user, event.item) == ("7", "2375", "1029743")


def test_visitor_is_the_user_or_else_the_session() -> None:
    known, anonymous = check(session="s1"), check(user=None, session="s1")

    assert isinstance(known, Event)
    assert isinstance(anonymous, Event)
    assert (known.visitor, anonymous.visitor) == ("ann", "anonymous:s1")


def test_line_is_one_flat_object_and_reads_back_as_the_event() -> None:
    event = check(session="é\n", context={"channel": "app", "tags": ["a"]})
    assert isinstance(event, Event)

    line = event.line(["channel", "age"])

    assert line.count(b"\n") == 1
    assert not any(isinstance(value, dict) for value in orjson.loads(line).values())
    assert orjson.loads(line).items() >= {"channel": "app", "age": None}.items()
    assert Event.of_line(line) == event


@pytest.mark.parametrize("line", [b"{", b"[]", b"7", b'{"id": "e1"}', b""])
def test_line_of_something_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Event.of_line(line)
