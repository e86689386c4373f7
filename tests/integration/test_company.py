"""The company of `make nightly`: its model from features to scores, and the night's figures."""

import json
import re
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.config.loading import load
from orchestration.night import intake
from tests import stages
from tests.integration.conftest import ask, copy_home, current, look


def test_the_night_reports_each_stage_and_the_release(company_home):
    text = (company_home / "night.txt").read_text()
    stages = [line.split()[0] for line in text.splitlines() if re.match(r"\w+ .*\d s   ", line)]
    assert stages == [
        *("ingest", "erase", "plan", "build", "train", "value", "score", "marts"),
        *("candidate", "compare", "gate", "release"),
    ]
    assert "data through" in text
    assert re.search(r"gate\s+passed, (\d+) of \1 checks", text)


def test_the_champion_earned_its_place(company_home):
    model_id = current(company_home)["model_version"]
    folder = company_home / "models" / "churn" / model_id
    card = json.loads((folder / "card.json").read_text())
    assert card["model_id"] == model_id
    assert card["decision"]["accepted"]
    assert card["metrics"]["log_loss"] < card["baselines"]["base_rate"]["log_loss"]
    # The planted hazards themselves score about 0.78 on the newest fifth; with some 17 churns the standard error is 0.07.
    assert card["metrics"]["auc"] > 0.6
    slices = card["slices"]
    for earlier, later in (("fit", "calibration"), ("calibration", "test")):
        gap = date.fromisoformat(slices[later]["from"]) - date.fromisoformat(slices[earlier]["to"])
        assert gap.days >= card["label"]["window_days"]
    assert (folder / "golden.json").exists()


def test_a_night_as_of_an_earlier_day_leaves_the_champion(company_home, tmp_path):
    from orchestration.night.run import Night

    home = copy_home(company_home, tmp_path / "home")
    champion = current(home)["model_version"]
    settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)
    for day, outcome in (
        (date(2026, 10, 20), "kept: decided on data through 2026-11-20"),
        (None, "kept: decided on data through"),
    ):
        with Night(settings) as night:
            intake.plan(night, as_of=day)
            trained = stages.run_task(night, "train")
        assert trained.metadata["model"] == champion
        assert trained.detail.startswith(outcome)


def _train(home):
    """What training decides on a home's features."""
    from orchestration.ml_steps.churn import CHURN, Training
    from orchestration.ml_steps.model_store import ModelStore
    from orchestration.night.run import Night

    settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)
    with Night(settings) as night:
        through = intake.plan(night).data_through

    def read(query):
        with night.warehouse.connect(read_only=True) as connection:
            return connection.execute(query).df()

    return Training(ModelStore(home, CHURN), settings.config, read).train(through)


@pytest.mark.parametrize(("decided", "is_challenged"), [("2026-11-14", False), ("2026-11-13", True)])
def test_a_drifted_score_challenges_the_champion_a_week_after_it_was_decided_on(company_home, tmp_path, decided, is_challenged):
    home = copy_home(company_home, tmp_path / "home")
    folder = home / "models" / "churn"
    model_id = current(home)["model_version"]
    (folder / "champion.json").write_text(json.dumps({"model_id": model_id, "decided_through": decided}))
    path = folder / model_id / "card.json"
    card = json.loads(path.read_text())
    # As if every account had scored in the lowest bin when the model learnt.
    shares = card["reference"]["churn_probability"]["shares"]
    card["reference"]["churn_probability"]["shares"] = [1.0] + [0.0] * (len(shares) - 1)
    path.chmod(0o644)
    path.write_text(json.dumps(card))
    trained = _train(home)
    assert trained.outcome.startswith("kept: decided") != is_challenged
    assert ("drifted" in trained.card.get("trained_because", "")) == is_challenged


def test_a_champion_of_features_that_are_made_no_more_is_replaced(company_home, tmp_path):
    from ml.churn import artifact
    from orchestration.ml_steps.churn import CHURN, load_model
    from orchestration.ml_steps.model_store import ModelStore, StoredModel

    home = copy_home(company_home, tmp_path / "home")
    store = ModelStore(home, CHURN)
    champion = store.champion()
    model = load_model(champion)
    model.feature_names_in_ = [*model.feature_names_in_, "sign_of_the_zodiac"]
    data = artifact.dump(model)
    card = {**champion.card, "sha256": artifact.digest(data)}
    store.keep(StoredModel("old", data, card, champion.golden))
    store.promote("old", decided_through="2026-11-20", reason="it was the best then")
    trained = _train(home)
    assert trained.card["trained_because"] == "there is no model yet"
    assert trained.model_version == champion.model_id, "the same data give the same model"


def test_the_release_shows_the_champion(company_home):
    pointer = json.loads((company_home / "published" / "current.json").read_text())
    page = (company_home / "published" / pointer["path"] / "data_docs" / "churn_model.html").read_text()
    assert f"<h1>Churn model {current(company_home)['model_version']}</h1>" in page
    described = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]+)" />', page)
    assert len(described) == page.count("<img") == 3
    assert [words.split(",")[0] for words in described[:2]] == ["Reliability", "Churns found"]
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_every_paying_account_is_scored(company_home):
    scored, paying, low, high, different = look(
        company_home,
        """
        select
          (select count(*) from ml.churn_scores),
          (select count(*) from intermediate.int_churn__paying_accounts where as_of_date = date '2026-11-20'),
          (select min(churn_probability) from ml.churn_scores),
          (select max(churn_probability) from ml.churn_scores),
          (select count(distinct churn_probability) from ml.churn_scores)
        """,
    )[0]
    assert scored == paying > 100
    assert 0 <= low < high <= 1
    assert different > paying / 2


def test_churn_falls_from_red_to_amber_to_green(company_home):
    [(verdict, red, amber, green)] = look(
        company_home, "select verdict, red_churn_rate, amber_churn_rate, green_churn_rate from intermediate.int_health__backtest"
    )
    assert verdict == "falls"
    assert red > amber > green


def test_every_scored_account_is_published_with_what_to_do(company_home):
    """The mart is built of this night's scores: dbt runs on what reads them when they are written."""
    counts = ask(
        company_home,
        "select count(*), count(distinct intervention_priority), min(intervention_priority), sum(mrr_at_risk) > 0"
        " from marts.mart_churn__account",
    )
    scored = look(company_home, "select count(*), sum(churn_probability) from ml.churn_scores")[0]
    assert counts == [(scored[0], scored[0], 1, True)]
    published = ask(company_home, "select sum(churn_probability) from marts.mart_churn__account")[0][0]
    assert published == pytest.approx(scored[1])


def test_every_customer_is_valued(company_home):
    """The mean of the shop's customers, one by one, is that of the cohorts to which they alone belong."""
    customers, without_value, purchases, accounts, cohort_customers, without_model = look(
        company_home,
        """
        select
          (select count(*) from ml.ltv_customers),
          (select count(*) from ml.ltv_customers where predicted_ltv_36m is null or predicted_ltv_36m < predicted_ltv_12m),
          (select count(*) from intermediate.int_clv__shop_customers),
          (select count(*) from intermediate.int_clv__account_customers),
          (select sum(customer_count) from ml.ltv_cohorts where dimension = 'all'),
          (select count(*) from ml.ltv_cohorts where method like 'none%')
        """,
    )[0]
    assert customers == purchases > 300
    assert accounts > 100
    assert cohort_customers == customers + accounts
    assert (without_value, without_model) == (0, 0)
    published = ask(
        company_home,
        """
        select count(*), min(person_id), count(distinct person_id), count(distinct as_of_date), sum(predicted_ltv_12m)
        from marts.mart_ltv__customer
        """,
    )[0]
    assert published[0] == published[2] == customers
    assert published[1].startswith("p_")
    assert published[3] == 1
    # What was published in whole and in parts is the same money: of accounts only what the cohorts have beyond it.
    whole, accounts_observed = look(
        company_home,
        """
        select
          (select sum(customer_count * predicted_ltv_12m) from ml.ltv_cohorts where dimension = 'channel'),
          (select sum(margin_12m) from intermediate.int_clv__account_customers)
        """,
    )[0]
    assert whole > float(published[4]) + float(accounts_observed)


def test_what_arrives_later_leaves_earlier_features_as_they_were(company_home, tmp_path):
    """Facts of the past that arrive tomorrow are not in yesterday's features, though they are in the facts."""
    from orchestration.night.run import Night

    home = copy_home(company_home, tmp_path / "home")
    features = "from intermediate.int_churn__features where as_of_date < date '2026-11-20' order by as_of_date, account_id"
    facts = {
        "events": "intermediate.int_events__unique",
        "payments": "intermediate.int_money__payments",
        "subscriptions": "staging.stg_subscriptions",
    }
    counts = {source: look(home, f"select count(*) from {table}")[0][0] for source, table in facts.items()}
    before = look(home, features)
    appended = {source: _land_late(home, source, sql) for source, sql in LATE.items()}
    settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)
    with Night(settings) as night:
        intake.ingest(night)
        intake.plan(night)
        failures = [result for result in stages.built(night) if result.is_failure]
    assert failures == []
    for source, table in facts.items():
        assert look(home, f"select count(*) from {table}") == [(counts[source] + appended[source],)]
    assert len(before) > 1_000
    assert look(home, features) == before
    # The new as-of date does see them.
    seen = "max(features_used_28d) > 0 and min(active_days_28d) >= 19, min(failed_payments_90d) >= 9, min(is_past_due) = 1"
    assert look(home, f"select {seen} from intermediate.int_churn__features where is_current") == [(True, True, True)]


# Facts of the two months before, for every account.
LATE = {
    "events": """
        select 'late-' || account_id || '-' || day as event_id, 'feature_used' as event, user_id, account_id, 'match' as feature,
          date '2026-11-20' - day::integer as occurred_at
        from users cross join range(1, 60) as days (day)""",
    "payments": """
        select 'late-' || account_id || '-' || day as payment_id, account_id, 'subscription' as kind, 10 as amount,
          'USD' as currency, 'failed' as status, date '2026-11-20' - day::integer as paid_at
        from users cross join range(1, 60, 7) as days (day)""",
    "subscriptions": """
        select 'late-' || account_id as subscription_id, account_id, timestamp '2026-10-01' as changed_at, 'enterprise' as plan,
          4999 as mrr, 'USD' as currency, 'past_due' as status, 50 as seats
        from users""",
}


def _land_late(home: Path, source: str, rows: str) -> int:
    """Write rows, made from one user of each account, as what arrived on the day after the last; returns how many."""
    folder = home / "landing" / source / "dt=2026-11-21"
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{home}/warehouse.duckdb' as warehouse (read_only)")
        connection.execute(
            "create table users as select account_id, min(user_id) as user_id from warehouse.staging.stg_users"
            " where account_id is not null group by account_id"
        )
        connection.execute(f"copy ({rows}) to '{folder}/late.parquet' (format parquet)")
        return connection.execute(f"select count(*) from '{folder}/late.parquet'").fetchone()[0]


def test_everything_planted_in_the_landing_zone_is_accounted_for(company_home):
    truth = json.loads((company_home / "landing" / "truth.json").read_text())
    counted = {
        source: counts
        for source, *counts in ask(
            company_home,
            "select source, sum(landed_count)::bigint, sum(quarantined_count)::bigint, sum(duplicate_count)::bigint,"
            " sum(abs(landing_difference) + abs(fact_difference))::bigint from marts.mart_data_quality__daily group by source",
        )
    }
    assert {source: counts[0] for source, counts in counted.items()} == truth["rows"]
    assert {source: counts[1] for source, counts in counted.items() if counts[1]} == {
        source: sum(reasons.values()) for source, reasons in truth["bad_rows"].items()
    }
    assert counted["events"][2] == truth["events"]["duplicate_rows"]
    assert {counts[3] for counts in counted.values()} == {0}
    bots = ask(company_home, "select sum(bot_count) > 0, sum(internal_count) > 0 from marts.mart_data_quality__daily")
    assert bots == [(True, True)]


def test_the_planted_devices_make_the_planted_persons(company_home):
    """Users who share a device are one person; ids that stand for nobody join none."""
    identity = json.loads((company_home / "landing" / "truth.json").read_text())["identity"]
    assert identity["shared_devices"]
    assert identity["junk_ids"]
    smallest: dict[str, str] = {}
    groups = [set(users) for users in identity["shared_devices"].values()]
    while groups:
        group = groups.pop()
        for other in [other for other in groups if other & group]:
            groups.remove(other)
            group |= other
            groups.append(group)
            break
        else:
            smallest |= dict.fromkeys(group, min(group))
    found = dict(look(company_home, "select user_id, person_user_id from intermediate.int_identity__merged_users"))
    erased = {user_id for user_id in smallest if user_id not in found}
    assert {user_id: person for user_id, person in smallest.items() if user_id not in erased} == found
    # Whoever asked to be forgotten is no longer known under that name.
    assert len(erased) <= len(json.loads((company_home / "erasures" / "ledger.json").read_text())["entries"])
    junk = look(
        company_home,
        "select count(*) from intermediate.int_identity__links"
        " where lower(anonymous_id) in (select denied_id from control.denied_ids)",
    )
    assert junk == [(0,)]
    persons = dict(
        look(company_home, "select user_id, count(distinct anonymous_id) from intermediate.int_identity__links group by user_id")
    )
    assert max(persons.values()) > 1
