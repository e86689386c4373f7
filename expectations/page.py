"""The gate's report as one page for people: what was checked in a release, and what came of it.

Belongs here: the HTML, which stands alone (no script, font, style or image from anywhere). Does not belong here: any judgement;
the page shows what `report` says.
"""

from collections import Counter

import jinja2

from expectations.report import GateReport

_TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Gate: {{ report.release_id or "unnamed release" }}</title>
<style>
:root { --text: #1c2430; --quiet: #5b6675; --page: #fff; --panel: #f4f6f8; --line: #d9dee4;
  --passed: #176b3a; --failed: #b3261e; --warning: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e8ed; --quiet: #9aa5b3; --page: #14181d; --panel: #1d232a; --line: #333c46;
    --passed: #6fd397; --failed: #ff8a80; --warning: #f0b94a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; color: var(--text); background: var(--page);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .75rem; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
h2 small { font-weight: 400; color: var(--quiet); margin-left: .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; padding: 1rem; background: var(--panel);
  border-radius: 8px; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); }
td.number { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; min-width: 7rem; max-width: 18rem; }
code { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
td code { white-space: nowrap; }
.passed { color: var(--passed); } .failed, .error { color: var(--failed); font-weight: 600; }
.warning, .waived { color: var(--warning); font-weight: 600; }
</style>
</head>
<body>
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
</body>
</html>
"""


def render(report: GateReport) -> str:
    """Return the report as one self-contained HTML page; what did not pass comes first, in each mart too. All is escaped."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_TEMPLATE).render(
        report=report,
        marts=sorted(report.marts, key=lambda mart: all(check.status == "passed" for check in mart.checks)),
        totals=sorted(Counter(check.label for check in report.checks).items()),
        verdict=lambda passed: "passed" if passed else "failed",
    )
