"""The tables of settings in docs/settings.md and in the library's README show the settings as they are."""

from pathlib import Path

import pytest

from common.settings_table import TABLES, with_table


@pytest.mark.parametrize("page", TABLES, ids=lambda page: page.parent.name)
def test_the_table_of_settings_is_that_of_the_settings_class(page: Path) -> None:
    assert with_table(page) == page.read_text(encoding="utf-8"), "run `python -m common.settings_table`"
