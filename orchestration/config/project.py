"""Location of the project.

Belongs here: folders of the code. Does not belong here: folders of a home (`settings`).
"""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DBT_PROJECT = PROJECT / "dbt_project"
