"""How many calls may be repeated: one for every ten calls made, with a small reserve, so that repeating never makes an overload worse."""

_SHARE = 0.1
_RESERVE = 10.0
_MOST = 100.0


class Budget:
    """Counts what may still be repeated."""

    def __init__(self) -> None:
        self._left = _RESERVE

    def call_made(self) -> None:
        """A new call pays in its tenth."""
        self._left = min(self._left + _SHARE, _MOST)

    def take(self) -> bool:
        """Whether one repetition is allowed; it is paid for then."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
