"""What a caller must know of the calls: which may be repeated when it is not known whether they were done."""

NEVER_REPEATED = {
    # A counter goes up twice.
    "RecordPlaybackStarted",
    # The repetition of a call that was done says ALREADY_EXISTS, and the caller would take its own account for another's.
    "CreateUser",
}
"""All others are reads, or writes of which the contract says that the same once more changes nothing."""


def may_be_repeated(method: str) -> bool:
    """Whether `method`, given as /package.Service/Name or as the name alone, may be sent again without knowing what became of it."""
    return method.rpartition("/")[2] not in NEVER_REPEATED
