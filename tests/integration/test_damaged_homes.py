"""Damaged homes: what each command says of a file that is missing, cut or garbage, and what heals it.

Belongs here: damages × commands on a tiny company. Does not belong here: damage that comes from a kill half-way
(`test_release_crashes`, `test_being_forgotten`).
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.base.errors import NorthstarError
from orchestration.config.loading import load
from orchestration.night.run import Night
from tests.integration.conftest import at_home, copy_home, current
from tests.integration.tiny import FIRST

Damage = Callable[[Path], object]


def first(home: Path, pattern: str) -> Path:
    """The first path of a home that matches; what lies in a release is read-only, and made writable."""
    path = sorted(home.glob(pattern))[0]
    path.parent.chmod(0o755)
    if path.is_file():
        path.chmod(0o644)
    return path


def cut(pattern: str) -> Damage:
    def damage(home: Path) -> None:
        path = first(home, pattern)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def zeroed(pattern: str) -> Damage:
    def damage(home: Path) -> None:
        path = first(home, pattern)
        path.write_bytes(bytes(path.stat().st_size))

    return damage


def emptied(pattern: str) -> Damage:
    return lambda home: first(home, pattern).write_bytes(b"")


def missing(pattern: str) -> Damage:
    return lambda home: first(home, pattern).unlink()


def written(name: str, text: str = "garbage") -> Damage:
    def damage(home: Path) -> None:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).unlink(missing_ok=True)
        (home / name).write_text(text)

    return damage


def folder(name: str) -> Damage:
    def damage(home: Path) -> None:
        (home / name).unlink(missing_ok=True)
        (home / name).mkdir(parents=True)

    return damage


MANIFEST = "dbt/target/manifest.json"
RELEASE = "published/releases/2*"
LAKE = f"lake/events/dt={FIRST}"
PREPARE = "run `northstar prepare`"
BACKFILL = f"`northstar backfill --from {FIRST} --to {FIRST}`"
ANEW = "published/marts.duckdb away, and run `northstar nightly`"
# Damage → what `status` says, and what the first stages of a night do; None: nothing, all is well with them.
DAMAGES: dict[str, tuple[Damage, str | None, str | None]] = {
    "dbt manifest cut": (cut(MANIFEST), None, PREPARE),
    "dbt manifest zeroed": (zeroed(MANIFEST), None, PREPARE),
    "dbt manifest missing": (missing(MANIFEST), None, PREPARE),
    "dbt manifest of the same size": (lambda home: garble(first(home, MANIFEST)), None, "is damaged (Expecting"),
    "dbt parse cut": (cut("dbt/target/parsed.msgpack"), None, PREPARE),
    "dbt parse zeroed": (zeroed("dbt/target/parsed.msgpack"), None, PREPARE),
    "promoting.json garbage": (written("published/promoting.json"), None, None),
    "promoting.json of another shape": (written("published/promoting.json", "[]"), None, None),
    "current.json cut": (cut("published/current.json"), "`northstar nightly` mends it", None),
    "current.json missing": (missing("published/current.json"), "`northstar nightly` mends it", None),
    "current.json of another shape": (written("published/current.json", "[1]"), "`northstar nightly` mends it", None),
    "link to the release missing": (missing("published/marts.duckdb"), "`northstar nightly` mends it", None),
    "release manifest cut": (cut(f"{RELEASE}/manifest.json"), ANEW, ANEW),
    "release manifest zeroed": (zeroed(f"{RELEASE}/manifest.json"), ANEW, ANEW),
    "release manifest missing": (missing(f"{RELEASE}/manifest.json"), ANEW, ANEW),
    "release file cut": (cut(f"{RELEASE}/marts.duckdb"), ANEW, None),
    "lake file cut": (cut(f"{LAKE}/*.parquet"), None, BACKFILL),
    "lake file zeroed": (zeroed(f"{LAKE}/*.parquet"), None, BACKFILL),
    "lake file missing": (missing(f"{LAKE}/*.parquet"), None, BACKFILL),
    "lake manifest cut": (cut(f"{LAKE}/*.json"), None, BACKFILL),
    "lake manifest missing": (missing(f"{LAKE}/*.json"), None, None),
    "lake manifest of another shape": (written(f"{LAKE}/manifest.json", "[]"), None, BACKFILL),
    "stray folder in the lake": (folder("lake/nonsense/dt=2026-01-01"), None, None),
    "stray day in the lake": (folder("lake/events/dt=soon"), None, None),
    "stray file in the lake": (written("lake/events/README.txt"), None, None),
    "stray file for a source": (written("lake/orderz"), None, None),
    "build file garbage": (written("warehouse.duckdb"), None, None),
    "build file emptied": (emptied("warehouse.duckdb"), None, None),
    "build file cut": (cut("warehouse.duckdb"), None, None),
    "build file a folder": (folder("warehouse.duckdb"), None, "is a folder, where the build file belongs; move it away"),
    "stray folder of a model": (written("models/churn/garbage/card.json"), None, None),
    "champion garbage": (written("models/churn/champion.json"), None, "remove it to train anew"),
    "dagster.yaml missing": (missing("dagster/dagster.yaml"), None, None),
    "file for the models": (written("models/churn"), None, "move it away"),
}


def garble(path: Path) -> None:
    """Leave a file its size and its first byte."""
    path.write_bytes(path.read_bytes()[:1].ljust(path.stat().st_size, b"x"))


def begin(home: Path) -> None:
    """The stages of a night before dbt, and what reads the manifest and the champion."""
    from orchestration.ml_steps.churn import CHURN
    from orchestration.ml_steps.model_store import ModelStore
    from orchestration.night import intake

    with at_home(home), Night(load()) as night:
        intake.ingest(night)
        intake.erase(night)
        intake.plan(night)
        assert night.manifest["nodes"]
        ModelStore(home, CHURN).champion()


@pytest.fixture(scope="module")
def sound(tiny_home) -> Path:
    return tiny_home


def test_a_sound_home_is_well(sound, tmp_path, northstar) -> None:
    home = copy_home(sound, tmp_path / "home")
    begin(home)
    assert northstar(home, "status").returncode == 0


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_said_with_what_heals_it(sound, tmp_path, northstar, damage) -> None:
    make, of_status, of_night = DAMAGES[damage]
    home = copy_home(sound, tmp_path / "home")
    make(home)
    status = northstar(home, "status")
    assert (status.returncode, of_status or "") == (1 if of_status else 0, of_status if of_status else "")
    assert (of_status or "") in status.stderr
    for command in (("releases",), ("models",), ("query", "select 1")):
        done = northstar(home, *command)
        assert done.returncode in {0, 1}
        assert bool(done.stderr) == bool(done.returncode), done.stderr
    if of_night is None:
        begin(home)
    else:
        with pytest.raises(NorthstarError) as said:
            begin(home)
        assert of_night in str(said.value)
        assert str(home) in str(said.value)


def test_another_release_heals_a_damaged_one(sound, refunded_home, tmp_path, northstar) -> None:
    """`northstar releases` lists what there is to go back to, and `northstar rollback` goes there."""
    home = copy_home(refunded_home, tmp_path / "home")
    kept = current(sound)["release_id"]
    (damaged,) = {path.name for path in (home / "published" / "releases").iterdir()} - {kept}
    cut(f"published/releases/{damaged}/manifest.json")(home)
    status = northstar(home, "status")
    assert (status.returncode, f"`northstar rollback` to another one (there is {kept})" in status.stderr) == (1, True)
    assert kept in northstar(home, "releases").stdout
    assert northstar(home, "rollback", kept).returncode == 0
    assert northstar(home, "status").returncode == 0
    assert current(home)["release_id"] == kept


HEALED_BY_A_NIGHT = [
    name for name, (_, of_status, of_night) in DAMAGES.items() if of_night in {None, PREPARE} and of_status != ANEW
]


@pytest.mark.long
@pytest.mark.parametrize("damage", HEALED_BY_A_NIGHT)
def test_a_night_heals_what_it_can(sound, tmp_path, northstar, damage) -> None:
    home = copy_home(sound, tmp_path / "home")
    DAMAGES[damage][0](home)
    night = northstar(home, "nightly")
    assert night.returncode == 0, night.stdout + night.stderr
    assert northstar(home, "status").returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in HEALED_BY_A_NIGHT])
@pytest.mark.parametrize("command", ["nightly", "rebuild"])
def test_a_night_that_cannot_heal_it_ends_in_words(sound, tmp_path, northstar, damage, command) -> None:
    home = copy_home(sound, tmp_path / "home")
    DAMAGES[damage][0](home)
    night = northstar(home, command)
    assert night.returncode in {0, 1}
    assert not damage.startswith("release") or (night.returncode, "nothing has changed" in night.stdout) == (1, False)
    assert "Traceback" not in night.stdout + night.stderr
