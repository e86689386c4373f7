"""Settings of one process of Northstar.

Belongs here: paths of a home, digests of the configuration, and the environment for dbt, Dagster and the libraries. Does not
belong here: keys and defaults (`schema`), or reading settings (`loading`).
"""

import glob
import hashlib
import os
import tempfile
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from orchestration.base import digests
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

# The resource tracker of multiprocessing warns about what an interrupted process left; the operating system frees it.
_QUIET = {"PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker"}

# Dagster announces the 470 assets and checks of a run together when it may (`orchestration.event_log`).
_BATCHES = {"DAGSTER_EVENT_BATCH_SIZE": "1000"}

POSTGRES_VARIABLE = "NORTHSTAR_POSTGRES_URL"


class Settings(Frozen):
    """Settings of one process of Northstar: the home with its state, the landing zone it reads, and the configuration."""

    home: Path
    landing: Path
    config_file: Path | None
    config: Config
    waivers: tuple[Waiver, ...] = ()
    # None: the home's own key, generated when it is first needed. Not part of any digest.
    pseudonym_key: SecretStr | None = None
    # From the environment, else from the file. Not part of any digest either: the target of a release does not change it.
    postgres_url: SecretStr | None = None

    @property
    def warehouse(self) -> Path:
        """The build file."""
        return self.home / "warehouse.duckdb"

    @property
    def dbt_target(self) -> Path:
        """Folder of dbt's manifest and compiled models."""
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
        """SHA-256 of the part of the effective configuration that releases depend on."""
        values = self.config.model_dump(mode="json", exclude={"publish", "owners"})
        return digests.of_value(values)

    @cached_property
    def folding_digest(self) -> str:
        """SHA-256 of the configuration that incremental models depend on; when it changes, every day is folded again."""
        keys = {"reporting_timezone", "bot_events_per_day", "session_gap", "event_names", "funnels"}
        return digests.of_value(self.config.model_dump(mode="json", include=keys))

    def dbt_vars(self) -> dict[str, str]:
        """Variables of every dbt call; always the same, since a change makes dbt parse everything again."""
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
        """Set the environment variables that dbt, Dagster and the libraries of this process read."""
        temporary = self.home / "tmp"
        os.environ.update(
            _TELEMETRY_OFF | _QUIET | _BATCHES,
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
            MPLCONFIGDIR=str(temporary / "matplotlib"),
        )
        # Empty means no file: a process started in another folder must not find another file there.
        os.environ["NORTHSTAR_CONFIG"] = "" if self.config_file is None else str(self.config_file)
        for variable, secret in ((VARIABLE, self.pseudonym_key), (POSTGRES_VARIABLE, self.postgres_url)):
            if secret is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = secret.get_secret_value()


def without_wildcards(folder: Path) -> Path:
    """Return a path of a folder without wildcards: the folder itself, or a link to it among the user's temporary files.

    Dagster searches `dagster.yaml` with a glob pattern; in a folder such as `ns[1]` it finds none and runs with its defaults,
    telemetry included. Raises SettingsError if no such path is available.
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
