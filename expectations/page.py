"""The gate's report as one page for people: the checks of a release and their results.

Belongs here: the contents of the page. Does not belong here: its frame (`html`), and any judgement, which is in `report`.
"""

from collections import Counter

from expectations import html
from expectations.report import GateReport

_TEMPLATE = """\
{% extends "base.html" %}
{% block title %}Gate: {{ report.release_id or "unnamed release" }}{% endblock %}
{% block style %}
h2 small { font-weight: 400; color: var(--quiet); margin-left: .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; padding: 1rem; background: var(--panel);
  border-radius: 8px; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { width: 100%; }
th, td { vertical-align: top; padding: .4rem .75rem .4rem 0; }
td.number { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; min-width: 7rem; max-width: 18rem; }
code { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
td code { white-space: nowrap; }
.passed { color: var(--passed); } .failed, .error { color: var(--failed); font-weight: 600; }
.warning, .waived { color: var(--warning); font-weight: 600; }
{% endblock %}
{% block body %}
<h1>Gate: <span class="{{ verdict(report.passed) }}">{{ "passed" if report.passed else "refused" }}</span></h1>
<dl>
<dt>Release</dt><dd>{{ report.release_id or "(the file names no single release)" }}</dd>
<dt>Data through</dt><dd>{{ report.data_through }}</dd>
<dt>SHA-256</dt><dd><code>{{ report.candidate_sha256 }}</code></dd>
<dt>Checks</dt><dd>{{ report.marts | sum(attribute="evaluated") }} of {{ report.marts | sum(attribute="declared") }} evaluated
{%- for status, count in totals %}, {{ count }} {{ status }}{% endfor %}</dd>
{% for note in report.notes %}<dt>Note</dt><dd>{{ note }}</dd>
{% endfor %}
</dl>
{% for mart in marts %}
<h2><span class="{{ verdict(mart.passed) }}">{{ "✓" if mart.passed else "✗" }}</span> {{ mart.mart }}
<small>{{ mart.evaluated }} of {{ mart.declared }} checks evaluated</small></h2>
<div class="scroll"><table>
<thead><tr><th>Status</th><th>Check</th><th>What holds</th><th>Observed</th><th>Expected</th></tr></thead>
<tbody>
{# error, failed, passed: the alphabet has them in order of urgency #}
{% for check in mart.checks | sort(attribute="status") %}
<tr><td class="{{ check.label }}">{{ check.label }}</td><td><code>{{ check.name }}</code></td><td>{{ check.explanation }}
{%- if check.waived %} Waived {{ check.waived }}{% endif %}</td>
<td class="number">{{ check.observed or "–" }}</td><td class="number">{{ check.expected or "–" }}</td></tr>
{% endfor %}
</tbody>
</table></div>
{% endfor %}
{% endblock %}
"""


def render(report: GateReport) -> str:
    """Return the report as one self-contained HTML page; failures come first, also within each mart. All is escaped."""
    return html.render(
        _TEMPLATE,
        report=report,
        marts=sorted(report.marts, key=lambda mart: all(check.status == "passed" for check in mart.checks)),
        totals=sorted(Counter(check.label for check in report.checks).items()),
        verdict=lambda passed: "passed" if passed else "failed",
    )
