"""A socket in /tmp is used only where it is this user's own."""

import os
from pathlib import Path

import pytest

from infra.errors import InfraError
from infra.own_socket import require_own


def test_no_socket_and_our_own_are_fine(tmp_path: Path) -> None:
    require_own(tmp_path / "socket")
    (tmp_path / "socket").touch()
    require_own(tmp_path / "socket")


def test_a_socket_of_another_user_is_refused_with_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    if os.geteuid() == 0:
        path.touch()
        os.chown(path, 54_321, 54_321)
        owner = "user number 54321"
    else:
        path, owner = Path("/dev/null"), "user root"
    with pytest.raises(InfraError, match=f"{path}, .* belongs to {owner}"):
        require_own(path)


def test_a_link_of_our_own_counts_by_itself_and_not_by_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/nowhere")
    require_own(tmp_path / "link")
