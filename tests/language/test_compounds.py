"""Joined and split words."""

from language.compounds import MAX_SPLIT, joined, split_in_two


def test_neighbours_are_joined_and_stemmed() -> None:
    assert list(joined(["micro", "services", "day"])) == ["microservic", "servicesday"]


def test_stop_words_two_numbers_and_scripts_without_spaces_are_not_joined() -> None:
    assert list(joined(["log", "in", "java"])) == []
    assert list(joined(["4", "0", "1"])) == []
    assert list(joined(["python", "3"])) == ["python3"]
    assert list(joined(["東京", "tower"])) == []
    assert list(joined(["a" * 30, "b" * 11])) == []


def test_a_word_is_split_at_every_place_that_leaves_three_letters() -> None:
    assert split_in_two("webapp") == [("web", "app")]
    assert ("micro", "services") in split_in_two("microservices")
    assert split_in_two("short") == []
    assert split_in_two("x" * (MAX_SPLIT + 1)) == []
    assert split_in_two("東京東京東京東京") == []
