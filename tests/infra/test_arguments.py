"""Arguments of make that would be ignored in silence are refused."""

import pytest

from infra.arguments import read_arguments
from infra.errors import InfraError


def test_arguments_are_read_by_name_and_the_rest_are_empty() -> None:
    given = read_arguments(["SERVICE=comments", "N=4", "ARGS="], "w -j2 -- PYTHON=python3.12 N=4 SERVICE=comments")
    assert given == {"SERVICE": "comments", "N": "4", "FOLLOW": "", "ARGS": "", "TRIALS": ""}


@pytest.mark.parametrize(
    ("arguments", "makeflags"),
    [(["SERVICE=", "N=4"], " -- service=comments N=4"), (["service=comments"], ""), ([], "s -- N=4 service=comments")],
)
def test_a_name_in_small_letters_is_told_with_the_right_one(arguments: list[str], makeflags: str) -> None:
    with pytest.raises(InfraError, match=r"`service=comments` is not understood: .* `SERVICE=comments`"):
        read_arguments(arguments, makeflags)


def test_what_make_passes_on_as_it_was_typed_is_no_mistake() -> None:
    assert read_arguments(["ARGS=-k 'a"], " -- ARGS=-k\\ 'a")["ARGS"] == "-k 'a"
