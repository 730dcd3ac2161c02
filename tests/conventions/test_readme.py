"""The README tells the truth where a test can see it."""

from common.settings_table import README, with_table


def test_the_table_of_settings_is_that_of_the_settings_class() -> None:
    text = README.read_text()
    assert with_table(text) == text, "run `python -m common.settings_table`"
