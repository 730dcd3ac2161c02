"""A plan comes with a page token, so it is input: what no search could have made is refused."""

import json
from typing import Any

import pytest

from language.word_index import TYPICAL
from services.search.query import (
    MAX_ALTERNATIVES,
    MAX_MEANT_IN_ALL,
    MAX_ROWS_OF_A_WORD,
    MAX_ROWS_WHEN_MEANT,
    MAX_TERM_CHARACTERS,
    MAX_WEIGHT,
    MAX_WORDS,
    MIN_ROWS_OF_A_WORD,
    Alternative,
    Plan,
)

AVERAGE = [3.0, 4.0, 50.0]


def group(*terms: str) -> list[list[Any]]:
    return [[term, 1_000_000] for term in terms]


MANY_WORDS = [group(f"word{number}") for number in range(MAX_WORDS)]
MANY_MEANT = [group(*(f"{word}{meant}" for meant in range(MAX_ALTERNATIVES))) for word in "abcdefgh"]


def plan_of(groups: Any, rows: Any = 100, average: Any = AVERAGE) -> Plan:
    return Plan.from_text(json.dumps([groups, rows, average]))


def test_a_plan_comes_back_as_it_was() -> None:
    plan = Plan(((Alternative("polic", 1), Alternative("caf\u00e9", 0)), (Alternative("\U0001f600", 5),)), 400, TYPICAL)
    assert Plan.from_text(plan.to_text()) == plan


@pytest.mark.parametrize(
    ("groups", "rows"),
    [
        ([group("x" * MAX_TERM_CHARACTERS)], MAX_ROWS_OF_A_WORD),
        ([[["x", MAX_WEIGHT]]], 1),
        (MANY_WORDS, MIN_ROWS_OF_A_WORD),
        (MANY_MEANT, MAX_ROWS_WHEN_MEANT - 25),
    ],
)
def test_a_plan_at_its_bounds_is_taken(groups: Any, rows: int) -> None:
    assert plan_of(groups, rows).rows == rows
    assert sum(map(len, MANY_MEANT)) == MAX_MEANT_IN_ALL


@pytest.mark.parametrize(
    ("groups", "rows", "average"),
    [
        ([], 100, AVERAGE),
        ([*MANY_WORDS, group("more")], 100, AVERAGE),
        (MANY_WORDS, MIN_ROWS_OF_A_WORD + 1, AVERAGE),
        ([[]], 100, AVERAGE),
        ([group(*"abcdefg")], 100, AVERAGE),
        ([group("a")], MAX_ROWS_OF_A_WORD + 1, AVERAGE),
        ([group("a", "b")], MAX_ROWS_WHEN_MEANT + 1, AVERAGE),
        ([group(*f"{number:06}") for number in range(30)], 10, AVERAGE),
        ([group("a")], 0, AVERAGE),
        ([group("a")], 1.5, AVERAGE),
        ([group("a")], True, AVERAGE),
        ([group("")], 100, AVERAGE),
        ([group("x" * (MAX_TERM_CHARACTERS + 1))], 100, AVERAGE),
        ([group("\ud800")], 100, AVERAGE),
        ([[["a", -1]]], 100, AVERAGE),
        ([[["a", MAX_WEIGHT + 1]]], 100, AVERAGE),
        ([[["a", 0.5]]], 100, AVERAGE),
        ([[["a"]]], 100, AVERAGE),
        ([[[["a"], 1]]], 100, AVERAGE),
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
    "text", ["", "x", "1", "null", "[]", "[1]", "[[],1,2,3]", "[" * 50_000, "[" + "9" * 5000 + "]"]
)
def test_a_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Plan.from_text(text)
