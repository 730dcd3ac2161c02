"""A plan comes with a page token, so it is input: what no search could have made is refused."""

import json
from typing import Any

import pytest

from language.scoring import TYPICAL
from services.search.plan import (
    BELOW,
    MAX_ALTERNATIVES,
    MAX_FEEDBACK_TERMS,
    MAX_GROUPS,
    MAX_ROWS_OF_A_WORD,
    MAX_ROWS_WHEN_MEANT,
    MAX_TERM_CHARACTERS,
    MAX_TERMS_IN_ALL,
    MAX_WEIGHT,
    MIN_ROWS_OF_A_WORD,
    STANDS_FOR_IT,
    Alternative,
    Plan,
)

AVERAGE = [3.0, 4.0, 50.0]


def group(*terms: str) -> list[list[Any]]:
    return [[[term], 1_000_000, STANDS_FOR_IT] for term in terms]


MANY_WORDS = [group(f"word{number}") for number in range(MAX_GROUPS)]
MANY_MEANT = [
    group(*(f"{word}{meant}" for meant in range(MAX_ALTERNATIVES - word // 10)))
    for word in range(MAX_TERMS_IN_ALL // MAX_ALTERNATIVES)
]


def plan_of(groups: Any, rows: Any = 100, average: Any = AVERAGE, feedback: Any = ()) -> Plan:
    return Plan.from_text(json.dumps([groups, rows, average, feedback]))


def test_a_plan_comes_back_as_it_was() -> None:
    plan = Plan(
        (
            (Alternative(("polic",), 1, STANDS_FOR_IT), Alternative(("caf\u00e9", "au"), 0, BELOW)),
            (Alternative(("\U0001f600",), 5, STANDS_FOR_IT),),
        ),
        400,
        TYPICAL,
        (("chase", 7),),
    )
    assert Plan.from_text(plan.to_text()) == plan


@pytest.mark.parametrize(
    ("groups", "rows"),
    [
        ([group("x" * MAX_TERM_CHARACTERS)], MAX_ROWS_OF_A_WORD),
        ([[[["x"], MAX_WEIGHT, BELOW]]], 1),
        (MANY_WORDS, MIN_ROWS_OF_A_WORD),
        (MANY_MEANT, MAX_ROWS_WHEN_MEANT),
    ],
)
def test_a_plan_at_its_bounds_is_taken(groups: Any, rows: int) -> None:
    assert plan_of(groups, rows).rows == rows
    assert MAX_TERMS_IN_ALL - MAX_ALTERNATIVES < sum(map(len, MANY_MEANT)) <= MAX_TERMS_IN_ALL


@pytest.mark.parametrize(
    ("groups", "rows", "average"),
    [
        ([], 100, AVERAGE),
        ([*MANY_WORDS, group("more")], 100, AVERAGE),
        (MANY_WORDS, MIN_ROWS_OF_A_WORD + 1, AVERAGE),
        ([[]], 100, AVERAGE),
        ([group(*"abcdefghijklm")], 100, AVERAGE),
        ([group("a")], MAX_ROWS_OF_A_WORD + 1, AVERAGE),
        ([group("a", "b", "c")], MAX_ROWS_WHEN_MEANT + 1, AVERAGE),
        ([group(*(f"{word}{meant}" for meant in range(10))) for word in range(20)], 10, AVERAGE),
        ([group("a")], 0, AVERAGE),
        ([group("a")], 1.5, AVERAGE),
        ([group("a")], True, AVERAGE),
        ([group("")], 100, AVERAGE),
        ([group("x" * (MAX_TERM_CHARACTERS + 1))], 100, AVERAGE),
        ([group("\ud800")], 100, AVERAGE),
        ([[[["a"], -1, BELOW]]], 100, AVERAGE),
        ([[[["a"], MAX_WEIGHT + 1, BELOW]]], 100, AVERAGE),
        ([[[["a"], 0.5, BELOW]]], 100, AVERAGE),
        ([[[["a"], 1, BELOW + 1]]], 100, AVERAGE),
        ([[[["a"], 1]]], 100, AVERAGE),
        ([[[[["a"]], 1, BELOW]]], 100, AVERAGE),
        ([[[[], 1, BELOW]]], 100, AVERAGE),
        ([[[["a", "b", "c", "d", "e"], 1, BELOW]]], 100, AVERAGE),
        ([[None]], 100, AVERAGE),
        (None, 100, AVERAGE),
        ({"a": 1}, 100, AVERAGE),
        ([group("a")], 100, [1.0, 2.0]),
        ([group("a")], 100, [1.0, 2.0, -3.0]),
        ([group("a")], 100, [1.0, 2.0, float("nan")]),
        ([group("a")], 100, [1.0, 2.0, float("inf")]),
        ([group("a")], 100, [1.0, 2.0, "3"]),
    ],
)
def test_a_plan_that_no_search_makes_is_refused(groups: Any, rows: Any, average: Any) -> None:
    with pytest.raises(ValueError):
        plan_of(groups, rows, average)


@pytest.mark.parametrize(
    "feedback",
    [
        [["a", 1]] * (MAX_FEEDBACK_TERMS + 1),
        [["a", -1]],
        [["a", 1.5]],
        [["", 1]],
        [["x" * (MAX_TERM_CHARACTERS + 1), 1]],
        [["\ud800", 1]],
        [["a"]],
        [[["a"], 1]],
        None,
    ],
)
def test_feedback_that_no_search_makes_is_refused(feedback: Any) -> None:
    assert plan_of([group("a")], feedback=[["a", 1]] * MAX_FEEDBACK_TERMS)
    with pytest.raises(ValueError):
        plan_of([group("a")], feedback=feedback)


@pytest.mark.parametrize(
    "text", ["", "x", "1", "null", "[]", "[1]", "[[],1,2,3]", "[" * 50_000, "[" + "9" * 5000 + "]"]
)
def test_a_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Plan.from_text(text)
