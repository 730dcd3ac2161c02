"""By which beginning of theirs words and tags are kept for suggestions."""

MAX_BEGINNING = 2
"""Characters. By one, all words of a site would be in some forty partitions; by two, the fullest one holds about a fortieth of them."""


def beginning_of(term: str) -> str:
    """The partition of a word or tag: its first characters, or all of a shorter one."""
    return term[:MAX_BEGINNING]
