"""The page stands alone, escapes everything and shows what the report says."""

import re
from datetime import date

import jinja2
import pytest

from expectations import html
from expectations.page import render
from expectations.report import CheckResult, GateReport, MartReport


def report(*checks: CheckResult) -> GateReport:
    evaluated = sum(check.status != "error" for check in checks)
    return GateReport("r-<1>&\"'", "ab" * 32, date(2026, 3, 31), (MartReport("mart_x", len(checks), evaluated, checks),))


def check(name: str, status: str, severity: str = "critical") -> CheckResult:
    return CheckResult("mart_x", name, "query", severity, status, "<script>3</script>", "0", "It <i>holds</i>.")


def test_everything_is_escaped() -> None:
    html = render(report(check("a", "failed")))
    assert "<script" not in html
    assert "<i>" not in html
    assert "&lt;script&gt;3&lt;/script&gt;" in html
    assert "r-&lt;1&gt;&amp;" in html


def test_the_page_loads_nothing() -> None:
    html = render(report(check("a", "passed")))
    assert re.findall(r"(?:src=|href=|@import|url\(|https?:)", html) == []
    assert "default-src 'none'" in html


def test_the_page_says_what_the_report_says_worst_first() -> None:
    passing = render(report(check("a", "passed"), check("b", "failed", "warning")))
    assert '<h1>Gate: <span class="passed">passed</span></h1>' in passing
    assert '<td class="warning">warning</td>' in passing
    assert "2 of 2 evaluated, 1 passed, 1 warning" in passing
    refused = render(report(check("fine", "passed"), check("wrong", "failed"), check("unclear", "error")))
    assert '<h1>Gate: <span class="failed">refused</span></h1>' in refused
    assert re.findall(r"<td><code>(\w+)</code>", refused) == ["unclear", "wrong", "fine"]
    assert "2 of 3 checks evaluated" in refused


def test_marts_in_which_something_did_not_pass_come_first() -> None:
    marts = [
        MartReport(f"mart_{name}", 1, 1, (check("a", status, "warning"),)) for name, status in (("x", "passed"), ("y", "failed"))
    ]
    html = render(GateReport("r", "ab" * 32, date(2026, 3, 31), tuple(marts)))
    assert re.findall(r"</span> (mart_\w)", html) == ["mart_y", "mart_x"]
    assert "–" in render(report(CheckResult("mart_x", "types", "types", "critical", "passed", "", "", "All have.")))


def test_a_page_must_fill_the_frame() -> None:
    with pytest.raises(jinja2.TemplateRuntimeError, match="body"):
        html.render('{% extends "base.html" %}{% block title %}x{% endblock %}')
    with pytest.raises(jinja2.UndefinedError):
        html.render('{% extends "base.html" %}{% block title %}{{ absent }}{% endblock %}{% block body %}{% endblock %}')


def test_pages_share_colours_and_policy() -> None:
    page = html.render(
        '{% extends "base.html" %}{% block title %}{{ name }}{% endblock %}{% block body %}b{% endblock %}', name="<x>"
    )
    gate = render(report(check("a", "passed")))
    root = re.compile(r":root \{[^}]*\}")
    assert root.findall(page) == root.findall(gate)
    assert "<title>&lt;x&gt;</title>" in page
    assert "content=\"default-src 'none'; style-src 'unsafe-inline'\"" in page
