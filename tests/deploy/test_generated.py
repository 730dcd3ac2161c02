"""What follows from the catalogue is what `make generate` would write, and a line more in the catalogue reaches every file."""

from pathlib import Path

import pytest

from common import catalogue
from common.catalogue import KnownService
from deploy.generate import BEGIN, END, MarksMissing, differing, left_over, marked_parts, whole_files, with_part
from infra.layout import ROOT

ANOTHER = KnownService("LostFoundService", "lost_found", 9901, "Videos that were lost and found.")


def test_every_generated_file_is_current_and_none_is_left_over() -> None:
    stale = [str(path.relative_to(ROOT)) for path in differing(ROOT)]
    assert not stale, "run `make generate`"
    assert not left_over(ROOT)


def test_another_service_reaches_every_file_that_names_services(monkeypatch: pytest.MonkeyPatch) -> None:
    before = whole_files() | marked_parts()
    monkeypatch.setitem(catalogue.SERVICES, ANOTHER.name, ANOTHER)
    after = whole_files() | marked_parts()
    own = after.keys() - before.keys()
    assert own == {
        "services/lost_found/__init__.py",
        "services/lost_found/__main__.py",
        "deploy/kubernetes/services/lost-found/kustomization.yaml",
    }
    of_one_service = {name for name in before if name.startswith(("services/", "deploy/kubernetes/services/"))}
    changed = {name for name in before if after[name] != before[name]}
    names_none = {name for name in before if name.startswith("deploy/observability/")}
    names_none -= {"deploy/observability/rules.yml", "deploy/observability/compose.yaml"}
    assert changed == before.keys() - of_one_service - names_none


def test_a_service_that_the_catalogue_lost_leaves_a_folder_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "deploy/kubernetes/services/comments").mkdir(parents=True)
    assert not left_over(tmp_path)
    monkeypatch.delitem(catalogue.SERVICES, "CommentsService")
    assert [path.name for path in left_over(tmp_path)] == ["comments"]


def test_what_is_written_by_hand_around_the_marks_stays() -> None:
    text = f"before\n  {BEGIN}\n  old\n  {END}\nafter\n"
    assert with_part(text, "  new\n") == f"before\n  {BEGIN}\n  new\n  {END}\nafter\n"


@pytest.mark.parametrize("text", ["no marks\n", f"{BEGIN}\nno end\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n"])
def test_a_file_without_one_pair_of_marks_is_not_written(text: str) -> None:
    with pytest.raises(MarksMissing, match="one pair of marks"):
        with_part(text, "new\n")
