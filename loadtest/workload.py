"""A workload is a TOML file: the rate, the mix of calls, how popularity falls off, and the steps over time. Presets stand beside this file.

name = "browse"
seconds = 30
rate = 150                      # visits a second, in all; arrivals are a Poisson process, a visit is one to six calls
zipf = 1.0                      # the n-th most popular video is asked for 1/n^zipf as often as the first

[mix]                           # weights, not percentages
home = 30
watch = 40

[[steps]]
at = 10.0                       # seconds after the start
do = "rate 300"                 # rate N | scale SERVICE N | kill SERVICE | rolling-restart [SERVICE] | stop-cassandra SECONDS
"""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PRESETS = Path(__file__).with_name("presets")
MAX_SECONDS = 3600.0
MAX_CALLS = 2_000_000

ACTIONS = ("home", "watch", "search", "sign_in", "comment", "rate", "submit", "comments_page", "user_page", "suggested")


class Verb(StrEnum):
    """What a step can do."""

    RATE = "rate"
    SCALE = "scale"
    KILL = "kill"
    ROLLING_RESTART = "rolling-restart"
    STOP_CASSANDRA = "stop-cassandra"


_WORD_COUNTS = {Verb.RATE: 1, Verb.SCALE: 2, Verb.KILL: 1, Verb.STOP_CASSANDRA: 1}
"""How many words must follow a verb; any number may follow the others."""


class WorkloadError(Exception):
    """The workload file is wrong; the text says where."""


class Step(BaseModel):
    """Something that happens during the run, `at` seconds after its start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: float = Field(ge=0)
    do: str

    @property
    def verb(self) -> Verb:
        """The first word of `do`."""
        return Verb(self.do.split()[0])

    @property
    def words(self) -> list[str]:
        """The words after the verb."""
        return self.do.split()[1:]

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        name, *words = self.do.split() or [""]
        if name not in list(Verb):
            raise ValueError(f"no such step: {name!r}; there are {', '.join(Verb)}")
        if len(words) != _WORD_COUNTS.get(self.verb, len(words)):
            raise ValueError(f"{name!r} takes {_WORD_COUNTS[self.verb]} words, not {len(words)}")
        if self.verb in {Verb.RATE, Verb.STOP_CASSANDRA} and not words[0].replace(".", "", 1).isdigit():
            raise ValueError(f"{name!r} takes a number, not {words[0]!r}")
        if self.verb is Verb.SCALE and not words[1].isdigit():
            raise ValueError(f"'scale' takes a whole number of instances, not {words[1]!r}")
        return self


class Workload(BaseModel):
    """What a run does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seconds: float = Field(gt=0, le=MAX_SECONDS)
    rate: float = Field(gt=0)
    zipf: float = Field(1.0, ge=0, le=3)
    timeout: float = Field(5.0, gt=0, le=60, description="Deadline of each call, seconds.")
    videos: int = Field(1000, ge=1, le=10_000, description="The highest number of videos in use, the latest ones.")
    mix: dict[str, float]
    steps: list[Step] = []

    @property
    def max_rate(self) -> float:
        """The highest rate of the run, visits a second."""
        return max([self.rate, *(float(step.words[0]) for step in self.steps if step.verb is Verb.RATE)])

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if unknown := sorted(set(self.mix) - set(ACTIONS)):
            raise ValueError(f"no such action in [mix]: {', '.join(unknown)}; there are {', '.join(ACTIONS)}")
        if not sum(self.mix.values()) > 0 or min(self.mix.values()) < 0:
            raise ValueError("[mix] must hold weights, at least one above 0")
        if self.max_rate * self.seconds > MAX_CALLS:
            raise ValueError(f"more than {MAX_CALLS:,} calls could come of this; lower rate or seconds")
        return self


def load(name_or_path: str, **changes: object) -> Workload:
    """A preset by its name, or a file by its path, with `changes` (rate, seconds) on top. Raises WorkloadError."""
    path = Path(name_or_path) if name_or_path.endswith(".toml") else PRESETS / f"{name_or_path}.toml"
    try:
        content = tomllib.loads(path.read_text())
        return Workload(**{**content, **{key: value for key, value in changes.items() if value is not None}})
    except FileNotFoundError as error:
        presets = ", ".join(sorted(file.stem for file in PRESETS.glob("*.toml")))
        raise WorkloadError(f"no workload {name_or_path!r}: name a .toml file or one of {presets}") from error
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise WorkloadError(f"{path}: {error}") from error
