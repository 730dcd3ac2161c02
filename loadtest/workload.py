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
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PRESETS = Path(__file__).with_name("presets")
MOST_SECONDS = 3600.0
MOST_CALLS = 2_000_000

ACTIONS = ("home", "watch", "search", "sign_in", "comment", "rate", "submit", "comments_page", "user_page", "suggested")
STOP = "stop-cassandra"
VERBS = {"rate": 1, "scale": 2, "kill": 1, "rolling-restart": None, STOP: 1}
"""Words that may follow each verb of a step; None for any."""


class WorkloadError(Exception):
    """The workload file is wrong; the text says where."""


class Step(BaseModel):
    """Something that happens at a moment of the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: float = Field(ge=0)
    do: str

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        verb, *words = self.do.split()
        if verb not in VERBS:
            raise ValueError(f"no such step: {verb!r}; there are {', '.join(VERBS)}")
        if VERBS[verb] not in (None, len(words)):
            raise ValueError(f"{verb!r} takes {VERBS[verb]} words, not {len(words)}")
        if verb in ("rate", STOP) and not (words[0].replace(".", "", 1).isdigit() and float(words[0]) >= 0):
            raise ValueError(f"{verb!r} takes a number, not {words[0]!r}")
        if verb == "scale" and not words[1].isdigit():
            raise ValueError(f"'scale' takes a whole number of instances, not {words[1]!r}")
        return self


class Workload(BaseModel):
    """What a run does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seconds: float = Field(gt=0, le=MOST_SECONDS)
    rate: float = Field(gt=0)
    zipf: float = Field(1.0, ge=0, le=3)
    timeout: float = Field(5.0, gt=0, le=60, description="Deadline of each call, seconds.")
    videos: int = Field(1000, ge=1, le=10_000, description="How many of the latest videos are asked for at most.")
    mix: dict[str, float]
    steps: list[Step] = []

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if unknown := sorted(set(self.mix) - set(ACTIONS)):
            raise ValueError(f"no such action in [mix]: {', '.join(unknown)}; there are {', '.join(ACTIONS)}")
        if not sum(self.mix.values()) > 0 or min(self.mix.values()) < 0:
            raise ValueError("[mix] must hold weights, at least one above 0")
        rates = [self.rate, *(float(step.do.split()[1]) for step in self.steps if step.do.startswith("rate "))]
        if max(rates) * self.seconds > MOST_CALLS:
            raise ValueError(f"more than {MOST_CALLS:,} calls could come of this; lower rate or seconds")
        return self


def load(name_or_path: str, **changes: object) -> Workload:
    """A preset by its name, or a file by its path, with `changes` (rate, seconds) on top. Raises WorkloadError."""
    path = Path(name_or_path) if name_or_path.endswith(".toml") else PRESETS / f"{name_or_path}.toml"
    try:
        content = tomllib.loads(path.read_text())
        return Workload(**{**content, **{key: value for key, value in changes.items() if value is not None}})
    except FileNotFoundError as error:
        presets = ", ".join(sorted(each.stem for each in PRESETS.glob("*.toml")))
        raise WorkloadError(f"no workload {name_or_path!r}: name a .toml file or one of {presets}") from error
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise WorkloadError(f"{path}: {error}") from error
