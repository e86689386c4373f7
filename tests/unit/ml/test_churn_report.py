import sys
from xml.etree import ElementTree as ET

import pytest

from ml.churn.artifact import card, digest, dump
from ml.churn.drift import drift
from ml.churn.report import drift_plot, lift_plot, markdown, reliability_plot


@pytest.fixture(scope="module")
def described(small):
    return card(small, sha256=digest(dump(small.model)))


@pytest.fixture(scope="module")
def compared(small, short_history, described):
    rows = short_history.tail(800).assign(is_annual=1)
    return drift(rows, small.model.predict_proba(rows)[:, 1], described["reference"])


def test_the_page_says_verdict_choice_figures_and_origins(described, compared):
    page = markdown(described, compared)
    assert page.startswith(f"# Churn model {described['model_id']}\n")
    assert f"\nVerdict: {described['decision']['reason']}.\n" in page
    assert "Chosen: **logistic**, the lowest log-loss on the choice slice" in page
    assert f"| {described['model_id']} | {described['metrics']['log_loss']:.4g} |" in page
    for name in ("base_rate", "recent_rate", "usage_rule", "boosting", "pooled"):
        assert f"| {name} |" in page
    for origin in described["rolling_origin"]["origins"]:
        assert f"| {origin['window_from']} to {origin['window_to']} |" in page
        assert f"{origin['money']['net_usd']:,.2f}" in page
    assert "Drifted (index of 0.2 or more): is_annual" in page
    widths = [line.count("|") for line in page.splitlines() if line.startswith("|")]
    assert min(widths) > 3
    assert "None" not in page
    assert "nan" not in page


def test_the_page_of_a_young_installation_says_what_is_missing(short_history):
    from ml.churn.training import train

    result = train(short_history.loc[short_history["as_of_date"] < "2024-03-15"], minimum_churns=20, origins=0)
    page = markdown(card(result, sha256="0" * 64))
    assert "the only candidate: not enough history" in page
    assert "History is too short for an earlier origin." in page
    assert "## Drift" not in page


def test_the_page_says_when_there_is_no_verdict_on_drift_and_what_is_off_the_schema(small, short_history, described):
    rows = short_history.tail(20)
    found = drift(rows.drop(columns="seats"), small.model.predict_proba(rows)[:, 1], described["reference"])
    page = markdown(described, found)
    assert "No verdict: 20 rows, 150 are needed." in page
    assert "Off the schema: churn features: column 'seats' is missing." in page


@pytest.mark.parametrize("image", ["png", "svg"])
def test_pictures_are_pictures_and_the_same_each_time(described, compared, image):
    pictures = []
    for plot, given in ((reliability_plot, described), (lift_plot, described), (drift_plot, compared)):
        first = plot(given, image=image)
        if image == "png":
            assert first.startswith(b"\x89PNG\r\n")
            assert b"matplotlib" not in first.lower()
        else:
            assert ET.fromstring(first).tag.endswith("svg")  # noqa: S314 - our own bytes
            assert b"<dc:date>" not in first
        pictures.append(first)
    assert len(set(pictures)) == 3
    assert lift_plot(described, image=image) == pictures[1]


def test_no_state_of_pyplot_is_touched(described):
    reliability_plot(described)
    assert "matplotlib.pyplot" not in sys.modules


def test_another_format_is_refused(described):
    with pytest.raises(ValueError, match="png or svg, not 'pdf'"):
        lift_plot(described, image="pdf")
