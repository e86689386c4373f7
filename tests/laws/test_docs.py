"""The written pages agree with the project: links, commands, messages, settings and names that they quote exist."""

import ast
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest
import yaml

from orchestration.cli import cli
from orchestration.config.loading import load
from orchestration.config.schema import Config
from orchestration.marts import mart_nodes
from orchestration.reference.configuration import ENVIRONMENT

MAXIMUM_README_LINES = 150
MAXIMUM_BOXES = 10

GUIDES = ("first-data", "operations", "privacy", "gate", "troubleshooting")
GENERATED = Path("docs", "reference")
# Read by tests alone.
TEST_VARIABLES = {"NORTHSTAR_TEST_DATA", "NORTHSTAR_TEST_CLIENTS"}


def written_pages(repository: Path) -> dict[str, str]:
    """Every page for people by its path, generated ones included."""
    paths = [*repository.glob("*.md"), *repository.glob("docs/**/*.md")]
    return {path.relative_to(repository).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


def hand_written(repository: Path) -> dict[str, str]:
    return {name: text for name, text in written_pages(repository).items() if GENERATED not in Path(name).parents}


# --- links ---------------------------------------------------------------------------------------------------------------------


def without_code(text: str) -> str:
    return re.sub(r"^(?:```.*?^```|    \S.*?)$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors that forges give a page's headings."""
    headings = re.findall(r"^#{1,6} (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(root: Path, pages: Iterable[str]) -> list[str]:
    """Relative links of pages to a file or heading that is not there."""
    found = []
    for name in pages:
        text = (root / name).read_text(encoding="utf-8")
        for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", without_code(text)):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            file = (root / name).parent / path if path else root / name
            if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
                found.append(f"{name}: {target}")
    return found


def test_links_between_pages_resolve(repository):
    pages = written_pages(repository)
    assert {*(f"docs/{guide}.md" for guide in GUIDES), "README.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= pages.keys()
    assert broken_links(repository, pages) == []


@pytest.mark.parametrize(
    ("link", "is_broken"),
    [
        ("other.md", False),
        ("other.md#the-first-heading", False),
        ("other.md#mart_a__b", False),
        ("#here", False),
        ("https://example.com/x", False),
        ("gone.md", True),
        ("other.md#the-second-heading", True),
        ("#there", True),
    ],
)
def test_a_broken_link_is_found(tmp_path, link, is_broken):
    (tmp_path / "page.md").write_text(f"# Here\n\n[a]({link})\n\n    [code](nowhere.md)\n")
    (tmp_path / "other.md").write_text("# The first heading\n\n## `mart_a__b`\n\n```\n# The second heading\n```\n")
    assert broken_links(tmp_path, ["page.md"]) == ([f"page.md: {link}"] if is_broken else [])


def test_the_readme_leads_to_every_guide_and_reference_page(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    for path in repository.glob("docs/**/*.md"):
        assert f"({path.relative_to(repository).as_posix()})" in text


# --- the README ----------------------------------------------------------------------------------------------------------------


def boxes(text: str) -> set[str]:
    """Names of the nodes of a page's Mermaid pictures."""
    pictures = re.findall(r"^```mermaid\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return {name for picture in pictures for name in re.findall(r"(\w+)(?:\[|\{)\"", picture)}


def test_the_readme_is_short_and_its_picture_small(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAXIMUM_README_LINES
    assert 1 < len(boxes(text)) <= MAXIMUM_BOXES


def test_boxes_are_counted_once():
    assert boxes('```mermaid\nflowchart LR\n  a["x"] -->|y| b{"z"}\n  b --> a\n```\n') == {"a", "b"}


# --- commands ------------------------------------------------------------------------------------------------------------------


def quoted_commands(text: str) -> Iterator[tuple[str, bool]]:
    """Calls of `northstar` that a page quotes, each with whether it stands on a line of its own and so must be complete."""
    lines = re.findall(r"^(?:    |\$ )(?:\.venv/bin/)?(northstar .+)$", text, re.MULTILINE)
    yield from ((line, True) for line in lines)
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from ((span, False) for span in re.findall(r"`(?:\.venv/bin/)?(northstar [^`]+)`", outside))


def command_fault(line: str, *, complete: bool) -> str | None:
    """Why a call is none that the command line takes; None when it is one. Arguments may be missing unless it is complete."""
    group: click.Command = cli
    words = [word for word in shlex.split(line, comments=True)[1:] if not re.fullmatch(r"\[.*\]|…", word)]
    context = click.Context(cli, info_name="northstar")
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        found = group.get_command(context, words[0])
        if found is None:
            if group is not cli:
                break
            return f"no command {words[0]!r}"
        group, words = found, words[1:]
    if complete or words:
        try:
            group.make_context("northstar", list(words), resilient_parsing=False).close()
        except click.exceptions.NoSuchOption as error:
            return error.format_message()
        except click.MissingParameter as error:
            return error.format_message() if complete else None
        except click.UsageError as error:
            return error.format_message()
        except click.exceptions.Exit:
            return None
    return None


def test_quoted_commands_exist(repository):
    pages = hand_written(repository)
    assert {
        f"{name}: {line}: {fault}"
        for name, text in pages.items()
        for line, is_whole in quoted_commands(text)
        if (fault := command_fault(line, complete=is_whole))
    } == set()
    quoted = {line.split()[1] for text in pages.values() for line, _ in quoted_commands(text)}
    assert quoted >= {*cli.commands} - {"simulate"}


@pytest.mark.parametrize(
    ("line", "is_whole", "fault"),
    [
        ("northstar nightly --as-of 2026-11-01  # comment", True, None),
        ("northstar models rollback", True, None),
        ("northstar query \"from mart_mrr__month where dimension = 'all'\"", True, None),
        ("northstar backfill", False, None),
        ("northstar backfill", True, "Missing option '--from'."),
        ("northstar nightly --asof 2026-11-01", False, "No such option '--asof'"),
        ("northstar nightly --as-of yesterday", True, "invalid day 'yesterday'"),
        ("northstar night", False, "no command 'night'"),
        ("northstar status now", True, "Got unexpected extra argument"),
    ],
)
def test_a_wrong_command_is_found(line, is_whole, fault):
    found = command_fault(line, complete=is_whole)
    assert (found is None) if fault is None else (found is not None and fault in found)


def test_commands_are_found_on_lines_and_in_sentences():
    text = "Run `northstar status`.\n\n    northstar nightly   # now\n\n```text\n$ northstar releases\nnorthstar is a word\n```\n"
    assert list(quoted_commands(text)) == [
        ("northstar nightly   # now", True),
        ("northstar releases", True),
        ("northstar status", False),
    ]


def test_quoted_make_targets_exist(repository):
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for name, text in hand_written(repository).items():
        for target in re.findall(r"(?:`|^    |\$ )make ([a-z-]+)", text, re.MULTILINE):
            assert target in targets, f"{name}: make {target}"


# --- messages ------------------------------------------------------------------------------------------------------------------


def texts_of(folders: Iterable[Path]) -> set[str]:
    """Every text of the Python code; … stands for what is filled in."""
    found = set()
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.sub(r"%[sd]", "…", node.value))
    return found


def unknown_parts(message: str, texts: set[str]) -> list[str]:
    """Parts of a quoted message, cut at … and at semicolons, that no text of the code has."""
    parts = [part.strip(" ,'\"(){}`") for part in re.split(r"…|; ", message)]
    return [part for part in parts if len(part) > 2 and not any(part in text for text in texts)]


def quoted_messages(text: str) -> list[str]:
    """Messages in the first column of the tables of the page of troubleshooting."""
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return [span for cell in cells for span in re.findall(r"`([^`]+)`", cell) if not span.startswith("northstar ")]


def test_the_messages_of_troubleshooting_are_those_of_the_code(repository):
    # What is put together from pieces stands whole in the tests that expect it.
    folders = ("orchestration", "expectations", "tests/unit", "tests/integration")
    texts = texts_of(repository / folder for folder in folders)
    messages = quoted_messages((repository / "docs" / "troubleshooting.md").read_text(encoding="utf-8"))
    assert len(messages) > 50
    assert {message: parts for message in messages if (parts := unknown_parts(message, texts))} == {}


def test_a_message_that_the_code_does_not_say_is_found(tmp_path):
    (tmp_path / "a.py").write_text(
        'name = 1\nraise ValueError(f"unknown key {name!r}; did you mean {name}?")\nlog("%s: %s rows")\n'
    )
    texts = texts_of([tmp_path])
    assert unknown_parts("unknown key …; did you mean …?", texts) == []
    assert unknown_parts("unknown kea …; did you mean …?", texts) == ["unknown kea"]
    assert quoted_messages("| message | cause |\n| --- | --- |\n| `a b` | `c d` |\n| `northstar status` exits 1 | e |\n") == [
        "a b"
    ]


# --- names and settings --------------------------------------------------------------------------------------------------------


def test_marts_and_variables_that_pages_name_exist(repository, manifest):
    known = {*mart_nodes(manifest), "mart_mrr__month_v1"}  # an example of a version
    for name, text in hand_written(repository).items():
        assert set(re.findall(r"\bmart_\w+", text)) <= known, name
        named = set(re.findall(r"\bNORTHSTAR_\w+", text))
        assert named <= {*ENVIRONMENT, *TEST_VARIABLES}, name


def test_settings_that_pages_show_are_accepted(repository, tmp_path):
    shown = [
        block
        for text in hand_written(repository).values()
        for block in re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]
    assert len(shown) >= 5
    for number, block in enumerate(shown):
        folder = tmp_path / str(number)
        folder.mkdir()
        name = "waivers.toml" if "[[waivers]]" in block else "northstar.toml"
        (folder / name).write_text(block, encoding="utf-8")
        loaded = load({}, directory=folder)
        assert loaded.waivers if name == "waivers.toml" else loaded.config != Config()


def test_files_that_contributors_are_sent_to_exist(repository):
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w.]+/[\w./<>]+)`", text)
    assert len(named) > 20
    # What lies beside the repository is not there for everybody.
    inside = [path for path in named if "<" not in path and not path.startswith("../")]
    assert [path for path in inside if not (repository / path).exists()] == []
    assert [path for path in named if "<" in path and not (repository / path.split("<")[0]).exists()] == []


# --- the tools of a repository -------------------------------------------------------------------------------------------------


def test_every_package_says_that_it_is_typed(repository):
    for package in ("orchestration", "ml", "expectations"):
        assert (repository / package / "py.typed").is_file()
        assert f'"{package}/py.typed"' in (repository / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", [".github/workflows/ci.yml", ".gitlab-ci.yml"])
def test_workflows_call_the_gate_on_the_python_of_the_project(repository, file):
    text = (repository / file).read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    assert re.search(r"^ *(?:- )?\.ci/run$", text, re.MULTILINE)
    assert "3.11" in text


def test_hooks_call_the_tools_of_the_environment_and_download_nothing(repository):
    hooks = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}
    found = [hook for repo in hooks["repos"] for hook in repo["hooks"]]
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/") for hook in found)
    assert {"ruff", "mypy", "sqlfluff"} <= {Path(hook["entry"].split()[0]).name for hook in found}
