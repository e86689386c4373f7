"""Settings: what one process of Northstar was started with.

Belongs here: places of a home, digests of the configuration, and the environment that dbt, Dagster and the libraries are started
with. Does not belong here: keys and defaults (`schema`), or where settings come from (`loading`).
"""

import glob
import hashlib
import json
import os
import tempfile
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from orchestration.base.pseudonyms import VARIABLE
from orchestration.config.project import DBT_PROJECT
from orchestration.config.schema import Config
from orchestration.config.tables import Waiver
from orchestration.config.values import Frozen, SettingsError, duration

# Telemetry of every library is off; set before any of them is imported.
_TELEMETRY_OFF = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DBT_VERSION_CHECK": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "DAGSTER_DISABLE_TELEMETRY": "1",
}

# The tracker that multiprocessing starts reports what an interrupted process left; the system frees that.
_QUIET = {"PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker"}

POSTGRES_VARIABLE = "NORTHSTAR_POSTGRES_URL"


class Settings(Frozen):
    """What one process of Northstar was started with: where its state lives, what it reads, and the configuration."""

    home: Path
    landing: Path
    config_file: Path | None
    config: Config
    waivers: tuple[Waiver, ...] = ()
    # None: the home's own, which is made when it is first needed. No part of any digest.
    pseudonym_key: SecretStr | None = None
    # That of the environment, else that of the file. No part of any digest either: where a release goes does not change it.
    postgres_url: SecretStr | None = None

    @property
    def warehouse(self) -> Path:
        """The build file."""
        return self.home / "warehouse.duckdb"

    @property
    def dbt_target(self) -> Path:
        """Where dbt keeps its manifest and what it compiled."""
        return self.home / "dbt" / "target"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME: runs, events and schedules."""
        return self.home / "dagster"

    @property
    def timezone(self) -> ZoneInfo:
        """The reporting time zone."""
        return ZoneInfo(self.config.reporting_timezone)

    @property
    def max_release_age(self) -> timedelta:
        """Age above which a release counts as stale."""
        return duration(self.config.max_release_age)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the effective configuration, as far as releases depend on it."""
        values = self.config.model_dump(mode="json", exclude={"publish", "owners"})
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @cached_property
    def folding_digest(self) -> str:
        """SHA-256 of what the incremental models depend on: when it changes, every day is folded again."""
        keys = {"reporting_timezone", "bot_events_per_day", "session_gap", "event_names", "funnels"}
        return hashlib.sha256(json.dumps(self.config.model_dump(mode="json", include=keys), sort_keys=True).encode()).hexdigest()

    def dbt_vars(self) -> dict[str, str]:
        """The variables that dbt is called with; the same on every call, since a change makes dbt parse everything again."""
        keys = (
            "reporting_timezone",
            "reporting_currency",
            "week_start",
            "gross_margin",
            "partition_start",
            "bot_events_per_day",
            "max_identity_links",
            "sessions_end_at_midnight",
        )
        values = self.config.model_dump(mode="json", include=set(keys))
        gap = int(duration(self.config.session_gap).total_seconds())
        return {key: str(values[key]).lower() if isinstance(values[key], bool) else str(values[key]) for key in keys} | {
            "session_gap_seconds": str(gap),
            "churn_risk_levels": " ".join(str(level) for level in self.config.churn_risk_levels),
        }

    def export(self) -> None:
        """Set the environment that dbt, Dagster and the libraries of this process read."""
        temporary = self.home / "tmp"
        os.environ.update(
            _TELEMETRY_OFF | _QUIET,
            NORTHSTAR_HOME=str(self.home),
            NORTHSTAR_LANDING=str(self.landing),
            NORTHSTAR_WAREHOUSE=str(self.warehouse),
            NORTHSTAR_MEMORY_LIMIT=self.config.memory_limit,
            NORTHSTAR_TEMP=str(temporary),
            DAGSTER_HOME=str(without_wildcards(self.dagster_home)),
            DBT_PROFILES_DIR=str(DBT_PROJECT),
            DBT_PROJECT_DIR=str(DBT_PROJECT),
            DBT_TARGET_PATH=str(self.dbt_target),
            DBT_LOG_PATH=str(self.home / "dbt" / "logs"),
        )
        # Empty means no file: a process that is started elsewhere must not find another one there.
        os.environ["NORTHSTAR_CONFIG"] = "" if self.config_file is None else str(self.config_file)
        for variable, secret in ((VARIABLE, self.pseudonym_key), (POSTGRES_VARIABLE, self.postgres_url)):
            if secret is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = secret.get_secret_value()


def without_wildcards(folder: Path) -> Path:
    """Return a path of a folder that is no pattern: itself, or a link to it among the user's temporary files.

    Dagster looks for its `dagster.yaml` by a pattern; in a folder such as `ns[1]` it finds none and runs with its defaults,
    telemetry included. Raises SettingsError where there is no such path.
    """
    if not glob.has_magic(str(folder)):
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    link = Path(tempfile.gettempdir(), f"northstar-{os.getuid()}-{digest}")
    if glob.has_magic(str(link)):
        raise SettingsError(
            f"{folder} and {link} both hold one of [ ] * ?, by which Dagster does not find its files; move the home"
        )
    with suppress(FileExistsError):
        link.symlink_to(folder, target_is_directory=True)
    if link.lstat().st_uid != os.getuid() or not link.is_symlink() or link.readlink() != folder:
        raise SettingsError(f"{link} is not the link to {folder} that Northstar makes there; remove it")
    return link
