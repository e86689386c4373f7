"""Dagster as a service on this machine: its home, its webserver and its daemon.

Belongs here: starting and stopping them. Does not belong here: what they serve (`definitions`).
"""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from orchestration.base.errors import UserError
from orchestration.config.project import PROJECT
from orchestration.config.settings import Settings

_TEMPLATE = Path(__file__).with_name("dagster.yaml")


def install(settings: Settings) -> None:
    """Give DAGSTER_HOME its instance file; one that is there already is the site's own and stays.

    Raises UserError when Dagster could not read it.
    """
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    target = settings.dagster_home / "dagster.yaml"
    if not target.exists():
        shutil.copy(_TEMPLATE, target)
    try:
        settled = yaml.safe_load(target.read_bytes())
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{target}: not valid YAML: {problem}; correct it, or remove it to get the shipped one") from None
    if not isinstance(settled, dict | None):
        raise UserError(f"{target}: expected a table of settings of Dagster; correct it, or remove it to get the shipped one")


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
