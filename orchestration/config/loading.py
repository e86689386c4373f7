"""Loading: settings from the environment and the TOML files, and adding keys to the home's own file.

Belongs here: finding and reading the files, and error messages that name file and key. Does not belong here: keys and defaults
(`schema`), and values derived from them (`settings`). An unknown key or invalid value is an error, never replaced by a default.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, SecretStr, ValidationError

from orchestration.base.pseudonyms import MINIMUM_LENGTH, VARIABLE
from orchestration.base.suggestion import did_you_mean
from orchestration.config.project import PROJECT
from orchestration.config.schema import Config
from orchestration.config.settings import POSTGRES_VARIABLE, Settings
from orchestration.config.tables import ChannelRule, Funnel, FunnelStep, Pages, Publish, Waiver, Waivers
from orchestration.config.values import Frozen, SettingsError, check_postgres_url

_File = TypeVar("_File", bound=Frozen)


def load(environment: Mapping[str, str] | None = None, *, directory: Path | None = None) -> Settings:
    """Settings from the environment and the configuration file it names.

    NORTHSTAR_HOME (default `.northstar` beside the project), NORTHSTAR_LANDING (default `<home>/landing`), NORTHSTAR_CONFIG
    (default `northstar.toml` in the directory, else in the home; empty: none), NORTHSTAR_PSEUDONYM_KEY (at least 16 characters;
    default: the home's own key), NORTHSTAR_POSTGRES_URL (default: publish.postgres_url of the file). Waivers of the gate are
    read from `waivers.toml` beside the configuration file.
    Raises SettingsError for an unreadable file, an unknown key or an invalid value.
    """
    environment = os.environ if environment is None else environment
    directory = Path.cwd() if directory is None else directory
    home = _folder(environment, "NORTHSTAR_HOME", PROJECT / ".northstar", directory)
    landing = _folder(environment, "NORTHSTAR_LANDING", home / "landing", directory)
    config_file = _config_file(environment, home, directory)
    config = _read(config_file, Config)
    return Settings(
        home=home,
        landing=landing,
        config_file=config_file,
        config=config,
        waivers=_read(_waivers_file(environment, config_file, home, directory), Waivers).waivers,
        pseudonym_key=_key(environment),
        postgres_url=_postgres_url(environment) or config.publish.postgres_url,
    )


def differing(settings: Settings, suggested: Mapping[str, Any]) -> dict[str, Any]:
    """The suggested keys, and members of tables, that the configuration file does not set and whose value differs."""
    current = settings.config.model_dump(mode="json")
    set_already = settings.config.model_fields_set
    missing: dict[str, Any] = {}
    for key, value in suggested.items():
        if isinstance(value, Mapping):
            if members := {name: member for name, member in value.items() if name not in current[key]}:
                missing[key] = members
        elif key not in set_already and current[key] != value:
            missing[key] = value
    return missing


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Settings as `adopt` would make them with these values; writes nothing."""
    current = settings.config.model_dump(mode="python", exclude_unset=True)
    merged = {
        key: {**settings.config.model_dump(mode="python")[key], **value} if isinstance(value, Mapping) else value
        for key, value in values.items()
    }
    return settings.model_copy(update={"config": Config.model_validate({**current, **merged})})


def adopt(settings: Settings, origin: str, values: Mapping[str, Any]) -> Path:
    """Add keys to `<home>/northstar.toml` with a comment on their origin; existing contents, comments included, are kept."""
    import tomlkit

    path = settings.home / "northstar.toml"
    document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    for key, value in values.items():
        added = tomlkit.item(dict(value)) if isinstance(value, Mapping) else tomlkit.item(value)
        if key in document and isinstance(value, Mapping):
            cast("dict[str, Any]", document[key]).update(value)
        else:
            added.comment(f"suggested by `northstar import {origin}`")
            document[key] = added
    text = tomlkit.dumps(document)
    Config.model_validate(tomllib.loads(text))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _folder(environment: Mapping[str, str], variable: str, default: Path, directory: Path) -> Path:
    path = (directory / environment[variable]).resolve() if environment.get(variable) else default
    if path.exists() and not path.is_dir():
        raise SettingsError(f"{variable} is {path}, which is not a folder")
    return path


def _key(environment: Mapping[str, str]) -> SecretStr | None:
    configured = environment.get(VARIABLE)
    if configured is None:
        return None
    key = configured.strip()
    if len(key) < MINIMUM_LENGTH:
        raise SettingsError(f"{VARIABLE} has fewer than {MINIMUM_LENGTH} characters; unset it to use the key that the home keeps")
    return SecretStr(key)


def _postgres_url(environment: Mapping[str, str]) -> SecretStr | None:
    url = environment.get(POSTGRES_VARIABLE)
    if not url:
        return None
    try:
        check_postgres_url(url)
    except ValueError as error:
        raise SettingsError(f"{POSTGRES_VARIABLE}: {error}") from None
    return SecretStr(url)


def _config_file(environment: Mapping[str, str], home: Path, directory: Path) -> Path | None:
    if environment.get("NORTHSTAR_CONFIG") == "":
        return None
    if "NORTHSTAR_CONFIG" in environment:
        named = (directory / environment["NORTHSTAR_CONFIG"]).resolve()
        if not named.is_file():
            raise SettingsError(f"NORTHSTAR_CONFIG names {named}, which does not exist")
        return named
    return next((path for path in (directory / "northstar.toml", home / "northstar.toml") if path.is_file()), None)


def _waivers_file(environment: Mapping[str, str], config_file: Path | None, home: Path, directory: Path) -> Path | None:
    """`waivers.toml` beside the configuration file, or beside the place where that file would be."""
    places = [config_file.parent] if config_file else [home] if environment.get("NORTHSTAR_CONFIG") == "" else [directory, home]
    return next((path for place in places if (path := place / "waivers.toml").is_file()), None)


def _read(path: Path | None, model: type[_File]) -> _File:
    if path is None:
        return model()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        deepest = [
            item
            for item in found
            # A list with an invalid member is also reported as too short: the member's own error is enough.
            if item["type"] != "too_short"
            or not any(other["loc"][: len(item["loc"])] == item["loc"] for other in found if other is not item)
        ]
        raise SettingsError("\n".join(f"{path}: {_explain(item, model)}" for item in deepest)) from error


def _explain(error: Any, model: type[BaseModel]) -> str:
    location = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        known = _known_keys(parents, model)
        return f"unknown key {location!r}{did_you_mean(str(key), known)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{location}: {message}" if location else message


def _known_keys(parents: list[Any], model: type[BaseModel]) -> list[str]:
    names = [part for part in parents if isinstance(part, str)]
    models: dict[tuple[str, ...], type[BaseModel]] = {
        (): model,
        ("funnels",): Funnel,
        ("funnels", "steps"): FunnelStep,
        ("publish",): Publish,
        ("pages",): Pages,
        ("channel_rules",): ChannelRule,
        ("waivers",): Waiver,
    }
    return list(models[tuple(names)].model_fields)
