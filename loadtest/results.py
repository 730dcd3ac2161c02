"""What a run found out: its seconds, its calls by method, its steps, and whether the figures can be trusted."""

from collections import Counter
from dataclasses import dataclass, field

from hdrh.histogram import HdrHistogram

from loadtest.histograms import new_histogram, percentile_ms
from loadtest.workload import Verb, Workload

OK = "OK"
"""The outcome of a call that was answered; any other is the name of a status or of an error."""
MAX_GENERATOR_CPU = 0.9
"""CPU share above which a generator's own figures are not to be trusted."""


@dataclass
class Second:
    """What happened in one second of the run, over all generators."""

    number: int
    rate: float = 0.0
    visits: int = 0
    not_sent: int = 0
    in_flight: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: HdrHistogram = field(default_factory=new_histogram)
    instances: dict[str, dict[str, int]] = field(default_factory=dict)
    """Calls under way by service and address."""

    @property
    def failed(self) -> int:
        """Calls that did not end with OK."""
        return self.outcomes.total() - self.outcomes[OK]

    def ms(self, percentile: float) -> float:
        """A percentile (0 to 100) of this second's latencies, milliseconds; 0 where no call ended."""
        return percentile_ms(self.latencies, percentile)


@dataclass(frozen=True)
class StepRecord:
    """A step that was done: when it began and ended (seconds after the start), what it was, and how it went."""

    begin: float
    end: float
    do: str
    outcome: str


@dataclass
class Result:
    """All that a run found out."""

    workload: Workload
    started: float
    """Unix time."""
    seconds: list[Second] = field(default_factory=list)
    methods: dict[str, HdrHistogram] = field(default_factory=dict)
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """By method: calls by outcome."""
    steps: list[StepRecord] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by process."""
    generator_cpu: list[float] = field(default_factory=list)
    """CPU share of each generator."""
    interrupted: bool = False

    @property
    def calls(self) -> int:
        """Calls made."""
        return sum(counts.total() for counts in self.outcomes.values())

    @property
    def failed(self) -> int:
        """Calls that did not end with OK."""
        return self.calls - sum(counts[OK] for counts in self.outcomes.values())

    @property
    def failed_without_cassandra(self) -> int:
        """Failed calls that ended while Cassandra was stopped on purpose, or so soon after it that they waited for it."""
        stops = [
            (step.begin, step.end + self.workload.timeout)
            for step in self.steps
            if step.do.startswith(Verb.STOP_CASSANDRA)
        ]
        return sum(
            second.failed for second in self.seconds if any(begin <= second.number <= end for begin, end in stops)
        )

    @property
    def not_sent(self) -> int:
        """Visits that were due and could not be begun."""
        return sum(second.not_sent for second in self.seconds)

    @property
    def problems(self) -> list[str]:
        """Why the figures are not to be trusted; empty for a valid run."""
        problems = []
        if self.not_sent:
            problems.append(f"{self.not_sent} visits were not sent: the generators fell behind")
        if self.generator_cpu and max(self.generator_cpu) > MAX_GENERATOR_CPU:
            problems.append(f"a generator used {max(self.generator_cpu):.0%} of a processor")
        return problems
