"""The trials by name, in the order of the promises. Each is a function of the world that does one fault and returns what it measured."""

from collections.abc import Awaitable, Callable

from tests.chaos.alerts import alerts
from tests.chaos.cassandra_killed import cassandra_killed
from tests.chaos.cassandra_node import cassandra_node
from tests.chaos.clocks import clocks
from tests.chaos.data_centres import two_data_centres
from tests.chaos.etcd_faults import etcd_away, etcd_wiped, hundred_instances, key_deleted, storm, watch_broken
from tests.chaos.histories import histories
from tests.chaos.instance_faults import killed, partition, paused, port_taken, stopped_in_order
from tests.chaos.scaling import rolling_restart, scaling
from tests.chaos.start_order import any_order, cassandra_away
from tests.chaos.world import Measurement, World

Trial = Callable[[World], Awaitable[list[Measurement]]]

TRIALS: dict[str, Trial] = {
    trial.__name__.replace("_", "-"): trial
    for trial in (
        port_taken,
        killed,
        stopped_in_order,
        key_deleted,
        etcd_wiped,
        etcd_away,
        partition,
        hundred_instances,
        cassandra_away,
        any_order,
        paused,
        watch_broken,
        rolling_restart,
        scaling,
        storm,
        cassandra_killed,
        cassandra_node,
        two_data_centres,
        histories,
        clocks,
        alerts,
    )
}
SHORT = ("port-taken", "killed", "key-deleted", "paused", "watch-broken", "rolling-restart")
"""The cut that runs with every test."""
