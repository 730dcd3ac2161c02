"""Each kind of wrong value, for every setting there is, is refused in a sentence of our own; each name is known to every process."""

import re

import pytest

from common.setting_names import TOOLS_NAMES
from common.settings import PREFIX, Settings
from grpc_discovery import SettingsError
from infra.settings import InfraSettings

WRONG = ["nonsense !", "-1", "0", "1.5", "1e400", "nan", "-inf", "1_0", "é", "::", "[1]", "1,", "true"]

# As the library behind the settings words them for programmers.
FOREIGN = re.compile(r"Input should|should be|String should|Value error|unable to|parse|valid |type=")


def test_services_know_the_names_that_only_the_tools_read() -> None:
    assert set(InfraSettings.variables()) - set(Settings.variables()) <= TOOLS_NAMES


@pytest.mark.parametrize("variable", [name for name in InfraSettings.variables() if not name.endswith("_FILE")])
def test_a_wrong_value_is_told_in_our_own_words(variable: str) -> None:
    for value in WRONG:
        try:
            InfraSettings.from_environment(PREFIX, {f"{PREFIX}{variable}": value})
        except SettingsError as error:
            (sentence,) = str(error).splitlines()
            assert variable in sentence
            assert not FOREIGN.search(sentence), sentence


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ETCD_PORT", "many", "is not a whole number"),
        ("ETCD_PORT", "0", "must be at least 1"),
        ("ETCD_PORT", "65536", "must be at most 65535"),
        ("DATABASE_TIMEOUT", "0", "must be more than 0"),
        ("DATABASE_TIMEOUT", "long", "is not a number"),
        ("ENABLE_SSL", "maybe", "is neither true nor false"),
        ("CASSANDRA_DRIVER", "jdbc", "must be one of 'auto', 'cassandra-driver' or 'acsylla'"),
        ("CASSANDRA_KEYSPACE", "Bad", "does not have the form"),
        ("PORT_OFFSET", "150", "must be a multiple of 100"),
    ],
)
def test_what_is_said_of_each_kind(variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        InfraSettings.from_environment(PREFIX, {f"{PREFIX}{variable}": value})
    assert str(refusal.value).startswith(f"wrong setting {PREFIX}{variable}='{value}': {said}")
