"""What a person can put right: said in one sentence, without a trace."""


class InfraError(Exception):
    """A mistake or a lack that stops a command. Its text is the whole message."""
