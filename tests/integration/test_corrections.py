"""A night builds what changed and what is made of it, and ends as if it had built everything."""

import shutil
from pathlib import Path

import pytest

from orchestration.landing.contract import CONTRACT
from orchestration.landing.erasure.rewriting import REQUESTS
from tests.integration.conftest import copy_home, run_stages, warehouse_digests
from tests.selection import usually


def correct(home: Path, source: str) -> None:
    """Put the files of an earlier arrival day in the place of a later one's: its own facts are gone."""
    days = sorted((home / "landing" / source).glob("dt=*"))
    earlier, later = days[-8:-6] if len(days) > 8 else (days[0], days[-1])
    shutil.rmtree(later)
    shutil.copytree(earlier, later)


@pytest.mark.parametrize("source", usually(sorted(CONTRACT.keys() - {REQUESTS}), 1))
def test_a_correction_of_a_source_ends_as_a_rebuild_does(next_day, tmp_path, source):
    home = copy_home(next_day, tmp_path / "home")
    correct(home, source)
    told = run_stages(home, publish=False)
    assert "everything is built" not in told["plan"]
    assert "stand" in told["build"]
    anew = copy_home(home, tmp_path / "anew")
    assert "stand" not in run_stages(anew, anew=True, publish=False)["build"]
    assert warehouse_digests(home) == warehouse_digests(anew)
