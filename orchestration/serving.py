"""Dagster as a service on this machine: its home, its webserver and its daemon.

Belongs here: starting and stopping them. Does not belong here: what they serve (`definitions`).
"""

import hashlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestration.base.durable import replace_text
from orchestration.base.errors import UserError
from orchestration.config.project import PROJECT
from orchestration.config.settings import Settings

_TEMPLATE = Path(__file__).with_name("dagster.yaml")

# SHA-256 of each version of the instance file that was ever shipped; a change of the file adds one here and in its first line.
SHIPPED = {
    1: "a2013bc056cb51d30f5f0580f4fbbfdd4f9aa854ee2013fd855e09c673fdcc1d",
    2: "164946f8b6768c1f1255c5678b5b18210c3ec1df7923193f5ef62e237deb1606",
    3: "2762723440b80c132e7d6314c933fb5106de76ac7fcc49ac0527423d52bd17df",
}
NEWEST = max(SHIPPED)

_MARKER = re.compile(r"^# northstar instance file, version (\d{1,6})\s*$", re.MULTILINE)


def install(settings: Settings) -> str | None:
    """Give DAGSTER_HOME the newest instance file, unless the site has changed the one that is there.

    Returns a notice when the site's file lacks settings that have been shipped since the version that its marker names; raising
    the marker acknowledges them. Raises UserError when Dagster could not read the file.
    """
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    target = settings.dagster_home / "dagster.yaml"
    if not target.exists() or hashlib.sha256(target.read_bytes()).hexdigest() in SHIPPED.values():
        if not target.exists() or target.read_bytes() != _TEMPLATE.read_bytes():
            replace_text(target, _TEMPLATE.read_text(encoding="utf-8"))
        return None
    try:
        content = target.read_text(encoding="utf-8")
        settled = yaml.safe_load(content)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{target}: not valid YAML: {problem}; correct it, or remove it to get the shipped one") from None
    if not isinstance(settled, dict | None):
        raise UserError(f"{target}: expected a table of settings of Dagster; correct it, or remove it to get the shipped one")
    marker = _MARKER.search(content)
    if marker and int(marker[1]) >= NEWEST:
        return None
    missing = list(_missing(yaml.safe_load(_TEMPLATE.read_bytes()), settled or {}))
    if not missing:
        return None
    return (
        f"{target}: changed by this site and kept; compared with the shipped version {NEWEST} ({_TEMPLATE}) it lacks"
        f" {', '.join(missing)}. Add what you need, then the line '# northstar instance file, version {NEWEST}'"
    )


def _missing(shipped: Mapping[str, Any], settled: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield the keys, with dots, that the shipped settings have and the settled ones do not."""
    for key, value in shipped.items():
        if key not in settled:
            yield above + key
        # Another class has settings of its own.
        elif isinstance(value, Mapping) and isinstance(settled[key], Mapping) and settled[key].get("class") == value.get("class"):
            yield from _missing(value, settled[key], f"{above}{key}.")


def serve(port: int) -> int:
    """Run webserver and daemon until one ends or a signal comes; returns an exit code. There is no login: loopback."""
    workspace = str(PROJECT / "workspace.yaml")
    commands = [
        ["dagster_webserver", "--host", "127.0.0.1", "--port", str(port), "--workspace", workspace],
        ["dagster._daemon", "run", "--workspace", workspace],
    ]
    processes = [subprocess.Popen([sys.executable, "-m", *command]) for command in commands]  # noqa: S603 (own arguments)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    while not stopping and all(process.poll() is None for process in processes):
        time.sleep(0.2)
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
    return 0 if stopping else 1
