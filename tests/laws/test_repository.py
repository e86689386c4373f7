"""What lies in the repository: no place of whoever wrote it, versions pinned and hashed, marts that name their columns."""

import re
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

# In pieces, or this file would be its own finding.
_PLACES = re.compile("(?<![\\w.])/(?:" + "|".join(("work", "home", "root", "Users")) + ")/")
_HOSTS = re.compile(
    "|".join(
        (
            "pypi" + r"\.(?:org|python)",
            "python" + "hosted",
            "index-" + r"url[= ]+\S*://",
            "artifact" + "ory",
            "jfrog" + r"\.",
            "npm" + r"js\.",
        )
    )
)


def traces(root: Path, files: Iterable[str]) -> list[str]:
    """Lines of text files that name a folder of somebody's machine or a package registry, as file:line."""
    found = []
    for name in files:
        content = (root / name).read_bytes()
        if b"\0" not in content:
            lines = content.decode("utf-8").splitlines()
            found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if _PLACES.search(line) or _HOSTS.search(line)]
    return found


def tracked(repository: Path) -> list[str]:
    """Files of the repository that git keeps and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (repository / name).is_file()]


def test_no_tracked_file_names_a_machine_or_a_registry(repository):
    files = tracked(repository)
    assert "pyproject.toml" in files
    assert traces(repository, files) == []


@pytest.mark.parametrize(
    ("line", "is_trace"),
    [
        ("read " + "/work" + "/main/data.csv", True),
        ("path = '" + "/home" + "/somebody/northstar'", True),
        ("--index-" + "url https://registry.example/simple", True),
        ("https://files." + "python" + "hosted.org/packages", True),
        ("uv pip compile --no-emit-index-" + "url", False),
        ("the page shop.example" + "/home" + "/garden", False),
        ("<home>/landing and ./northstar.toml", False),
    ],
)
def test_a_trace_is_found(tmp_path, line, is_trace):
    (tmp_path / "notes.md").write_text(f"first\n{line}\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0" + line.encode())
    assert traces(tmp_path, ["notes.md", "picture.png"]) == (["notes.md:2"] if is_trace else [])


def locked(text: str) -> dict[str, str]:
    """Versions of a lock by normalised name; ValueError for a requirement that is not pinned and hashed, or for an address."""
    if "://" in text:
        raise ValueError("the lock has an address in it")
    versions = {}
    for entry in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        found = re.fullmatch(
            r"(?P<name>[\w.\-]+)==(?P<version>[\w.!+\-]+)(?: ; [^#]+?)?(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", entry
        )
        if found is None:
            raise ValueError(f"{entry.split(' ')[0]} is not pinned with a hash")
        versions[normalised(found["name"])] = found["version"]
    return versions


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct_faults(project: dict, versions: dict[str, str]) -> list[str]:
    """Direct dependencies of a pyproject that are not pinned exactly, or not to what the lock has."""
    groups = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
    ]
    found = []
    for requirement in (requirement for group in groups for requirement in group):
        name, _, version = requirement.partition("==")
        if not re.fullmatch(r"[\w.!+\-]+", version):
            found.append(f"{requirement} is not pinned with ==")
        elif versions.get(normalised(re.sub(r"\[.*\]$", "", name))) != version:
            found.append(f"{requirement} is not what the lock has")
    return found


def project_of(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_requirement_is_pinned_and_hashed(repository):
    versions = locked((repository / "requirements.lock").read_text(encoding="utf-8"))
    assert direct_faults(project_of(repository), versions) == []


_HASH = f"--hash=sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("click==8.5.1\n", "click==8.5.1 is not pinned with a hash"),
        (f"click>=8 \\\n    {_HASH}\n", "click>=8 is not pinned with a hash"),
        (f"click==8.5.1 \\\n    {_HASH[:-1]}\n", "click==8.5.1 is not pinned with a hash"),
        (f"click @ https://files.example/click.whl \\\n    {_HASH}\n", "has an address"),
    ],
)
def test_a_fault_of_the_lock_is_found(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        locked(text)


def test_a_lock_is_read_with_markers_and_several_hashes():
    text = f"# made\nPy_YAML==6.0.3 ; sys_platform == 'win32' \\\n    {_HASH} \\\n    {_HASH}\nclick==8.5.1 \\\n    {_HASH}\n"
    assert locked(text) == {"py-yaml": "6.0.3", "click": "8.5.1"}


def test_a_fault_of_a_direct_dependency_is_found():
    project = {
        "build-system": {"requires": ["hatchling==1.33.0"]},
        "project": {
            "dependencies": ["click>=8", "rich==15.*", "numpy==2.4.6"],
            "optional-dependencies": {"test": ["ruff==0.17.6", "pytest==9.2.0"]},
        },
    }
    versions = {"hatchling": "1.33.0", "click": "8.5.1", "rich": "15.0.0", "numpy": "2.4.5", "pytest": "9.2.0"}
    assert direct_faults(project, versions) == [
        "click>=8 is not pinned with ==",
        "rich==15.* is not pinned with ==",
        "numpy==2.4.6 is not what the lock has",
        "ruff==0.17.6 is not what the lock has",
    ]


def stars(sql: str) -> list[str]:
    """Star columns of the outermost selects of a model."""
    sql = re.sub(r"\{#.*?#\}|\{%.*?%\}|/\*.*?\*/", " ", sql, flags=re.DOTALL)
    sql = re.sub(r"--[^\n]*", " ", sql)
    # What a macro or a text stands for is no star of the model's own.
    sql = re.sub(r"\{\{.*?\}\}|'(?:[^']|'')*'", " x ", sql, flags=re.DOTALL)
    before = None
    while before != sql:
        before, sql = sql, re.sub(r"\([^()]*\)", " x ", sql)
    lists = re.findall(r"\bselect\b(.*?)(?=\bfrom\b|\bunion\b|$)", sql, flags=re.DOTALL | re.IGNORECASE)
    return [
        found.strip()
        for columns in lists
        for found in re.findall(r"(?:^|,|\bdistinct\b)\s*((?:\w+\.)?\*)", columns.strip(), re.IGNORECASE)
    ]


def test_marts_name_the_columns_that_they_end_in(repository):
    files = sorted((repository / "dbt_project" / "models" / "marts").rglob("*.sql"))
    assert files
    assert {path.name: found for path in files if (found := stars(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("with a as (select * from {{ ref('x') }}) select b, c * 2 as d, count(*) as e from a", []),
        ("with a as (select b from x) select * from a", ["*"]),
        ("with a as (select b from x)\n\nselect\n  a.b,\n  a.*\nfrom a", ["a.*"]),
        ("select distinct * from a", ["*"]),
        ("select b from a union all select * from c", ["*"]),
        ("-- select * from a\nselect ', *' as b from a {# select * #}", []),
    ],
)
def test_a_star_at_the_end_is_found(sql, found):
    assert stars(sql) == found
