"""The sources beside events and money, and what is planted in them: satisfaction, experiments, contacts, outcomes, erasures."""

import math
from datetime import date, timedelta

from tests.unit.simulator.simulated import LOCAL, SIGMAS, within

DAY = LOCAL.format("{0}", "Asia/Shanghai")


def shares_differ(one, other, sigmas):
    """Whether two shares, each (count, total), differ by more than so many standard errors."""
    (a, n), (b, m) = one, other
    pooled = (a + b) / (n + m)
    return abs(a / n - b / m) > sigmas * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))


def test_tickets_are_answered_before_they_are_solved(zone):
    planted = zone.truth["tickets"]
    found = dict(zone.all("SELECT severity, count(*) FROM tickets GROUP BY 1"))
    assert found == {name: planted[name] for name in ("low", "normal", "high", "urgent")}
    assert zone.one("SELECT count(*) FROM tickets_first WHERE resolved_at IS NULL") == planted["unsolved"] > 50
    unsolved = zone.one("SELECT count(*) FROM tickets WHERE resolved_at IS NULL")
    assert planted["unsolved"] - unsolved == planted["solved_late"] > 20
    assert zone.one("SELECT count(*) FROM tickets WHERE first_response_at <= opened_at OR resolved_at < first_response_at") == 0
    assert zone.one("SELECT count(*) FROM tickets WHERE contacts < 1") == 0
    # A ticket lands when it is solved or given up, and nothing in it lies after that day.
    assert zone.one(f"SELECT count(*) FROM tickets_landed WHERE {DAY.format('resolved_at')} > dt") == 0
    since = f"opened_at >= TIMESTAMP '{zone.summary.first_day}'"
    assert zone.one(f"SELECT max(dt - {DAY.format('opened_at')}) FROM tickets_first WHERE {since}") == 7


def test_who_leaves_had_more_trouble_and_less_satisfaction(zone):
    """Of accounts that pay, those that cancel within 30 days against those that do not; as-of days apart by 30."""
    first = zone.summary.first_day
    days = [first + timedelta(days=offset) for offset in range(30, zone.truth["arguments"]["days"] - 30, 30)]
    listed = ", ".join(f"(DATE '{day}')" for day in days)
    zone.connection.execute(
        f"""CREATE OR REPLACE TABLE asked AS
        WITH as_of (day) AS (VALUES {listed}), state AS (
          SELECT day, account_id, last((status IN ('active', 'past_due') AND mrr > 0) ORDER BY changed_at) AS pays
          FROM as_of JOIN subscriptions ON changed_at < day GROUP BY ALL)
        SELECT day, account_id, EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.account_id = state.account_id
          AND status = 'canceled' AND changed_at >= day AND changed_at < day + 30) AS leaves FROM state WHERE pays"""
    )
    weight = "CASE severity WHEN 'urgent' THEN 1 WHEN 'high' THEN 0.6 WHEN 'normal' THEN 0.3 ELSE 0.15 END"
    tickets = f"""SELECT leaves, avg(weight)::DOUBLE, avg(unsolved)::DOUBLE FROM (
        SELECT leaves, coalesce(sum(least({weight}, 1)) FILTER (ticket_id IS NOT NULL), 0) AS weight,
        count(ticket_id) FILTER (resolved_at IS NULL) AS unsolved
        FROM asked LEFT JOIN tickets_first AS tickets
          ON tickets.account_id = asked.account_id AND opened_at < day AND opened_at >= day - 30
        GROUP BY day, asked.account_id, leaves) GROUP BY 1 ORDER BY 1"""
    (_, calm, calm_unsolved), (_, troubled, troubled_unsolved) = zone.all(tickets)
    assert troubled > 1.2 * calm
    assert troubled_unsolved > calm_unsolved
    # Both scores on one scale; answers of the 45 days before a cancellation against all others.
    scores = """SELECT EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.account_id = surveys.account_id AND status = 'canceled'
        AND changed_at > responded_at AND changed_at < responded_at + INTERVAL 45 DAY) AS leaves,
        avg(CASE kind WHEN 'nps' THEN score / 10 ELSE score / 5 END), count(*) FROM surveys GROUP BY 1 ORDER BY 1"""
    (_, loyal, _), (_, disloyal, answers) = zone.all(scores)
    assert answers > 20
    assert disloyal < loyal - 0.05


def test_surveys_are_on_their_scales(zone):
    planted = zone.truth["surveys"]
    kinds = {
        row[0]: row[1:] for row in zone.all("SELECT kind, count(*), sum(score), min(score), max(score) FROM surveys GROUP BY 1")
    }
    assert kinds["nps"][:2] == (planted["nps_responses"], planted["nps_score_sum"])
    assert kinds["csat"][:2] == (planted["csat_responses"], planted["csat_score_sum"])
    assert kinds["nps"][3] == 10
    assert 0 <= kinds["nps"][2] < 6
    assert kinds["csat"][2:] == (1, 5)
    promoters, detractors = zone.row(
        "SELECT count(*) FILTER (score >= 9), count(*) FILTER (score <= 6) FROM surveys WHERE kind = 'nps'"
    )
    assert (promoters, detractors) == (planted["nps_promoters"], planted["nps_detractors"])
    assert detractors > 20
    assert 0.2 < zone.one("SELECT avg((comment IS NOT NULL)::INT) FROM surveys") < 0.4


def test_feedback_speaks_two_languages_about_every_topic(zone):
    planted = zone.truth["feedback"]
    language = "CASE WHEN regexp_matches(text, '[一-鿿]') THEN 'zh' ELSE 'en' END"
    assert dict(zone.all(f"SELECT {language}, count(*) FROM feedback GROUP BY 1")) == planted["languages"]
    assert min(planted["languages"].values()) > 10
    assert set(planted["topics"]) == set(zone.truth["parameters"]["feedback_topics"])
    assert sum(planted["topics"].values()) == zone.one("SELECT count(*) FROM feedback")
    pricing = "regexp_matches(text, '价格偏高|按使用量计费|年付折扣|too expensive|pay by use|yearly discount')"
    assert zone.one(f"SELECT count(*) FROM feedback WHERE {pricing}") == planted["topics"]["pricing"]
    assert zone.one("SELECT count(*) FROM feedback WHERE answered_at < created_at") == 0
    answered, answered_first = (zone.one(f"SELECT count(answered_at) FROM {table}") for table in ("feedback", "feedback_first"))
    assert 0.5 < answered_first / sum(planted["topics"].values()) < 0.75
    assert answered - answered_first == planted["answered_late"] > 10


def test_contacts_are_accepted_before_they_talk(zone):
    planted = zone.truth["wecom"]
    kinds = dict(zone.all("SELECT kind, count(*) FROM wecom GROUP BY 1"))
    assert kinds == {name: planted[name] for name in kinds}
    assert len(kinds) == 7
    contacts, linked = zone.row(
        "SELECT count(DISTINCT contact_id), count(DISTINCT contact_id) FILTER (user_id IS NOT NULL) FROM wecom"
    )
    assert contacts == planted["contacts"]
    # Who signs up after the last thing that happened with the contact is never seen as a user.
    assert 0.5 * planted["linked_contacts"] < linked <= planted["linked_contacts"] < contacts
    friends = """SELECT contact_id, min(occurred_at) FILTER (kind = 'friend_requested') AS requested,
        min(occurred_at) FILTER (kind = 'friend_accepted') AS accepted,
        min(occurred_at) FILTER (kind NOT IN ('friend_requested', 'friend_accepted')) AS talked,
        count(DISTINCT user_id) AS users FROM wecom GROUP BY 1"""
    assert zone.one(f"SELECT count(*) FROM ({friends}) WHERE requested IS NULL OR accepted < requested") == 0
    assert zone.one(f"SELECT count(*) FROM ({friends}) WHERE talked IS NOT NULL AND (accepted IS NULL OR talked < accepted)") == 0
    assert zone.one(f"SELECT max(users) FROM ({friends})") == 1
    assert within(kinds["message_replied"], kinds["message_sent"], zone.truth["parameters"]["wecom_reply_rate"])
    assert zone.one("SELECT count(*) FROM wecom WHERE (kind = 'group_message') <> (group_id IS NOT NULL)") == 0


def test_outcomes_follow_what_was_promised(zone):
    planted = zone.truth["outcomes"]
    reached = "count(*) FILTER (actual_roi >= expected_roi)"
    assert zone.row(f"SELECT count(*), {reached} FROM outcomes") == (
        planted["measurements"],
        planted["reached_what_was_expected"],
    )
    assert zone.one("SELECT corr(expected_roi, actual_roi) FROM outcomes") > 0.3
    assert zone.one("SELECT count(*) FROM outcomes WHERE actual_roi < 0 OR cost_savings < 0 OR currency IS NULL") == 0


def test_experiments_are_found_again(zone):
    exposed = {}
    for experiment, variant, count in zone.all("SELECT experiment_id, variant, count(*) FROM exposures GROUP BY ALL"):
        exposed.setdefault(experiment, {})[variant] = count
    planted = {each["experiment_id"]: each for each in zone.truth["experiments"]}
    assert exposed == {name: each["exposed"] for name, each in planted.items()}
    for name, each in planted.items():
        day = DAY.format("exposed_at")
        first, last = zone.row(f"SELECT min({day}), max({day}) FROM exposures WHERE experiment_id = '{name}'")
        assert date.fromisoformat(each["begins"]) <= first < last < date.fromisoformat(each["ends_before"])
        control, treated = each["exposed"].values()
        assert within(treated, control + treated, each["treated_share"])
        assert each["is_split_broken"] != within(treated, control + treated, each["intended_share"]), name
        kind = "user_id" if each["unit"] == "user" else "account_id"
        unknown = (
            f"SELECT count(*) FROM exposures WHERE experiment_id = '{name}' AND unit_id NOT IN (SELECT {kind} FROM {kind[:-3]}s)"
        )
        assert zone.one(unknown) == 0
    assert sum(each["is_split_broken"] for each in planted.values()) == 1


def test_one_experiment_has_an_effect_and_one_has_none(zone):
    """Share of the exposed that come to finish their onboarding; of those who logged in, for the effect is on that step."""
    planted = {each["experiment_id"]: each for each in zone.truth["experiments"]}
    results = {}
    for name in ("onboarding_checklist", "pricing_page_aa"):
        rows = zone.all(
            f"""SELECT variant, count(*) FILTER (done), count(*) FILTER (logged), count(*) FROM (
            SELECT variant, unit_id IN (SELECT user_id FROM event WHERE event = 'onboarding_completed') AS done,
            unit_id IN (SELECT user_id FROM event WHERE event = 'logged_in') AS logged
            FROM exposures WHERE experiment_id = '{name}') GROUP BY 1"""
        )
        results[name] = {variant: (done, logged, total) for variant, done, logged, total in rows}
        for variant, (done, _, _) in results[name].items():
            # A few completions are still under way at the end.
            assert abs(done - planted[name]["onboarded"][variant]) <= 4
    effect = planted["onboarding_checklist"]["effect"]
    control, treated = results["onboarding_checklist"]["control"], results["onboarding_checklist"]["checklist"]
    assert within(control[0], control[1], effect["control_rate"])
    assert within(treated[0], treated[1], effect["treated_rate"])
    assert shares_differ(control[:2], treated[:2], 2)
    assert planted["pricing_page_aa"]["effect"] is None
    a, b = results["pricing_page_aa"]["a"], results["pricing_page_aa"]["b"]
    assert not shares_differ((a[0], a[2]), (b[0], b[2]), 2)


def test_a_few_users_ask_to_be_forgotten(zone):
    first = zone.summary.first_day
    signups = zone.one(f"SELECT count(DISTINCT user_id) FROM users WHERE {DAY.format('signed_up_at')} >= DATE '{first}'")
    asked = zone.one("SELECT count(*) FROM erasures")
    assert abs(asked - signups / 300) <= SIGMAS * math.sqrt(signups / 300)
    assert asked >= 3
    assert zone.one(f"SELECT min({DAY.format('requested_at')}) FROM erasures") >= first + timedelta(days=30)
    assert {row[0] for row in zone.all(f"SELECT DISTINCT dt - {DAY.format('requested_at')} FROM erasures")} <= {0, 1}
    known = """SELECT count(*) FROM erasures JOIN (SELECT user_id, bool_or(is_internal) AS internal, min(signed_up_at) AS since
        FROM users GROUP BY 1) USING (user_id) WHERE NOT internal AND since < requested_at"""
    assert zone.one(known) == asked


def test_coupons_are_shown_before_they_are_clicked(zone):
    given = zone.truth["parameters"]
    shown, clicked, sessions = zone.row(
        """SELECT count(*) FILTER (event = 'coupon_shown'), count(*) FILTER (event = 'coupon_clicked'),
        count(DISTINCT session_id) FROM event WHERE event IN ('product_viewed', 'coupon_shown', 'coupon_clicked')"""
    )
    assert within(shown, sessions, given["shop_coupon_rate"])
    assert within(clicked, shown, given["shop_coupon_click_rate"])
