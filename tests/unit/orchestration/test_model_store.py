"""Stored models: kept by content, one champion, and damage told in words."""

import json
from pathlib import Path

import pytest

from orchestration.base.errors import NorthstarError, UserError
from orchestration.ml_steps.model_store import ModelStore, StoredModel

MODEL = StoredModel("m1", b"\x00artifact", {"sha256": "ab", "metrics": {"auc": 0.7}}, [{"x": 1.5, "y": None, "score": 0.25}])


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path, "churn")


OTHER = StoredModel("m2", b"other", {"sha256": "cd"}, [])


def promote(store: ModelStore, model_id: str, through: str = "2026-11-20") -> None:
    store.promote(model_id, decided_through=through, reason="better")


def test_before_the_first_there_is_no_champion(store: ModelStore) -> None:
    assert store.champion() is None
    assert not store.folder.exists()


def test_what_is_kept_and_promoted_comes_back_whole(store: ModelStore) -> None:
    store.keep(MODEL)
    assert store.champion() is None
    promote(store, "m1")
    assert store.champion() == MODEL
    assert sorted(path.name for path in store.folder.iterdir()) == ["champion.json", "m1", "promotions.jsonl"]
    assert sorted(path.name for path in (store.folder / "m1").iterdir()) == ["card.json", "golden.json", "model.skops"]


def test_another_home_finds_the_champion(store: ModelStore, tmp_path: Path) -> None:
    store.keep(MODEL)
    promote(store, "m1")
    assert ModelStore(tmp_path, "churn").champion() == MODEL
    assert ModelStore(tmp_path, "clv").champion() is None


def test_a_model_that_is_there_stays_as_it_is(store: ModelStore) -> None:
    store.keep(MODEL)
    before = {path.name: path.stat().st_mtime_ns for path in (store.folder / "m1").iterdir()}
    store.keep(MODEL)
    assert {path.name: path.stat().st_mtime_ns for path in (store.folder / "m1").iterdir()} == before


def test_a_draft_that_a_crash_left_is_replaced(store: ModelStore) -> None:
    draft = store.folder / ".m1"
    draft.mkdir(parents=True)
    (draft / "model.skops").write_bytes(b"half")
    store.keep(MODEL)
    promote(store, "m1")
    assert store.champion() == MODEL
    assert not draft.exists()


def test_a_kept_model_s_files_are_read_only(store: ModelStore) -> None:
    store.keep(MODEL)
    assert {path.stat().st_mode & 0o222 for path in (store.folder / "m1").iterdir()} == {0}


def test_promoting_another_changes_the_pointer_alone(store: ModelStore) -> None:
    for model in (MODEL, OTHER):
        store.keep(model)
        promote(store, model.model_id)
    assert store.champion() == OTHER
    promote(store, "m1")
    assert store.champion() == MODEL


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "5", '"m1"', "null"])
def test_a_damaged_pointer_is_told(store: ModelStore, text: str) -> None:
    store.keep(MODEL)
    (store.folder / "champion.json").write_text(text)
    with pytest.raises(NorthstarError, match=r"champion.json does not name a model; remove it to train anew"):
        store.champion()


@pytest.mark.parametrize("name", ["model.skops", "card.json", "golden.json"])
def test_a_missing_file_is_told(store: ModelStore, name: str) -> None:
    store.keep(MODEL)
    promote(store, "m1")
    (store.folder / "m1" / name).unlink()
    with pytest.raises(NorthstarError, match=rf"m1 is not a whole model \(.*{name}.*\); remove .*champion.json to train anew"):
        store.champion()


@pytest.mark.parametrize("name", ["card.json", "golden.json"])
def test_a_damaged_file_is_told(store: ModelStore, name: str) -> None:
    store.keep(MODEL)
    promote(store, "m1")
    path = store.folder / "m1" / name
    path.chmod(0o644)
    path.write_bytes(b'{"half')
    with pytest.raises(NorthstarError, match="m1 is not a whole model"):
        store.champion()


def test_refusals_are_appended(store: ModelStore) -> None:
    records = [{"model_id": "m1", "metrics": {"auc": 0.5}}, {"model_id": "m2", "decision": {"reason": "worse"}}]
    for record in records:
        store.refuse(record)
    lines = (store.folder / "refusals.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == store.refusals()
    assert [{name: value for name, value in record.items() if name != "at"} for record in store.refusals()] == records
    assert store.champion() is None


def test_the_list_names_the_champion_first_and_the_never_promoted_last(store: ModelStore) -> None:
    for model in (MODEL, OTHER):
        store.keep(model)
    promote(store, "m2")
    listed = store.models()
    assert [(model.model_id, model.is_champion, model.promoted_at is None) for model in listed] == [
        ("m2", True, False),
        ("m1", False, True),
    ]
    assert listed[1].card == MODEL.card
    assert ModelStore(store.folder.parent.parent, "clv").models() == []


def test_what_is_confirmed_keeps_the_champion_and_its_day(store: ModelStore) -> None:
    assert store.decided_through is None
    store.confirm(decided_through="2026-10-20")
    assert store.champion() is None
    store.keep(MODEL)
    promote(store, "m1")
    store.confirm(decided_through="2026-12-20")
    assert (store.champion(), store.decided_through) == (MODEL, "2026-12-20")


@pytest.fixture
def succeeded(store: ModelStore) -> ModelStore:
    """m1 was champion, then m2."""
    for model, through in ((MODEL, "2026-10-20"), (OTHER, "2026-11-20")):
        store.keep(model)
        promote(store, model.model_id, through)
    return store


@pytest.mark.parametrize("named", [None, "m1"])
def test_a_rollback_brings_the_champion_before_and_the_decision_stands(succeeded: ModelStore, named: str | None) -> None:
    checked = []
    assert succeeded.rollback(named, checked.append) == "m1"
    assert checked == [MODEL]
    assert (succeeded.champion(), succeeded.decided_through) == (MODEL, "2026-11-20")
    assert succeeded.rollback(None, checked.append) == "m2", "a rollback is a promotion, and is rolled back like one"


@pytest.mark.parametrize(
    ("named", "said"),
    [("m2", "m2 is the champion already"), ("m3", "'m3' never was the champion; former ones are m1"), ("", "'' never was")],
)
def test_only_a_former_champion_comes_back(succeeded: ModelStore, named: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        succeeded.rollback(named, str)
    assert succeeded.champion() == OTHER


def test_there_is_nothing_before_the_first(store: ModelStore) -> None:
    with pytest.raises(UserError, match="there is no champion"):
        store.rollback(None, str)
    store.keep(MODEL)
    promote(store, "m1")
    with pytest.raises(UserError, match="m1 is the first champion; there is none before it"):
        store.rollback(None, str)


def test_a_model_that_cannot_be_used_does_not_come_back(succeeded: ModelStore) -> None:
    def refuse(model: StoredModel) -> None:
        raise NorthstarError(f"{model.model_id} is damaged")

    with pytest.raises(NorthstarError, match="m1 is damaged"):
        succeeded.rollback(None, refuse)
    assert succeeded.champion() == OTHER


def test_a_damaged_history_is_told(succeeded: ModelStore) -> None:
    (succeeded.folder / "promotions.jsonl").write_text("{half")
    with pytest.raises(NorthstarError, match=r"promotions.jsonl is damaged .*move it away"):
        succeeded.models()
