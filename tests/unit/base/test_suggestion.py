"""Suggestions for misspelled names."""

from orchestration.base.suggestion import did_you_mean, nearest

SOURCES = ("events", "users", "orders")


def test_the_most_similar_name_is_suggested():
    assert did_you_mean("event", SOURCES) == "; did you mean 'events'?"
    assert did_you_mean("event", iter(SOURCES)) == "; did you mean 'events'?"


def test_nothing_is_suggested_when_no_name_is_similar():
    assert did_you_mean("zzz", SOURCES) == ""


def test_several_names_come_in_the_order_of_their_likeness():
    assert nearest("users", ("uses", "users", "x"), at_most=2) == ["users", "uses"]
    assert nearest("user", SOURCES, likeness=1) == []
