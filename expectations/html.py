"""The frame of every page: one self-contained HTML file, light or dark like the reader's system.

Belongs here: head, colours and fonts, and the policy that forbids loading anything. Does not belong here: contents of a page.
"""

import jinja2

_BASE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'{% block sources %}{% endblock %}">
<title>{% block title required %}{% endblock %}</title>
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
table { border-collapse: collapse; }
th, td { text-align: left; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); }
{% block style %}{% endblock %}
</style>
</head>
<body>
{% block body required %}{% endblock %}
</body>
</html>
"""


def render(template: str, **values: object) -> str:
    """Render a page that extends `base.html` with blocks title, body, style and sources; all values are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"base.html": _BASE}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(template).render(**values)
