"""Draw a graph of tables as a Mermaid flowchart that people can still read.

Belongs here: which tables share a node, which arrows are left out, and the Mermaid text. Does not belong here: where the
graph comes from (`reference`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

# The order of the picture, from left to right. A group that is not listed follows behind.
_GROUPS = ("ingest", "staging", "intermediate", "core", "marts", "ml", "release")
# Every table of these groups is drawn by itself; elsewhere those with the same neighbours share a node.
_ALWAYS_DRAWN = ("core", "marts")


def flowchart(groups: Mapping[str, str], parents: Mapping[str, Iterable[str]]) -> str:
    """A Mermaid flowchart of tables: key → group, and key → the keys it is made from, without cycles.

    To stay readable it draws each source together with the staging model named after it, an arrow only where no longer way leads
    from one table to the other, tables of one area (`int_<area>__…`) as one node as far as that makes no circle, and so tables
    with the same neighbours; marts and core tables are never joined.
    """
    labels = {key: key.removeprefix(f"{group}/") for key, group in groups.items()}
    above = {key: {parent for parent in parents.get(key, ()) if parent in groups} for key in groups}
    for source, readers in sorted(_below(above).items()):
        named = [reader for reader in readers if groups[reader] == "staging" and reader.endswith(f"stg_{source.split('/')[-1]}")]
        if groups[source] == "ingest" and named:
            [reader] = named
            labels[reader] = f"{labels.pop(source)} → {labels[reader]}"
            above[reader] = (above[reader] - {source}) | above.pop(source)
            above = {key: {reader if parent == source else parent for parent in found} for key, found in above.items()}
    for keys in [*_areas(above), *_twins(_without_detours(above), groups)]:
        together = [key for key in keys if key in labels]
        if len(together) > 1:
            labels[together[0]] = "<br/>".join(labels.pop(key) for key in together)
            above = _joined(above, together)
    above = _without_detours(above)

    drawn: dict[str, list[str]] = defaultdict(list)
    for key in sorted(labels):
        drawn[groups[key]].append(f'    {_node(key)}["{labels[key]}"]')
    known = [group for group in _GROUPS if group in drawn]
    lines = ["```mermaid", "flowchart LR"]
    for group in [*known, *sorted(drawn.keys() - set(known))]:
        lines += [f'  subgraph group_{group}["{group}"]', *drawn[group], "  end"]
    lines += [f"  {_node(parent)} --> {_node(key)}" for key in sorted(above) for parent in sorted(above[key])]
    return "\n".join([*lines, "```", ""])


def _below(above: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    below: dict[str, set[str]] = {key: set() for key in above}
    for key, parents in above.items():
        for parent in parents:
            below[parent].add(key)
    return below


def _without_detours(above: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The transitive reduction of a graph without cycles."""
    ancestors: dict[str, set[str]] = {}

    def find(key: str) -> set[str]:
        if key not in ancestors:
            ancestors[key] = above[key].union(*(find(parent) for parent in above[key]))
        return ancestors[key]

    return {
        key: {parent for parent in found if not any(parent in find(other) for other in found)} for key, found in above.items()
    }


def _joined(above: Mapping[str, set[str]], keys: Sequence[str]) -> dict[str, set[str]]:
    """The graph with several keys as one, which goes by the name of the first."""
    first, others = keys[0], set(keys[1:])
    renamed = {key: {first if parent in others else parent for parent in found} for key, found in above.items()}
    renamed[first] = set().union(*(renamed[key] for key in keys)) - {first}
    return {key: found for key, found in renamed.items() if key not in others}


def _areas(above: Mapping[str, set[str]]) -> list[list[str]]:
    """Keys of one area, two and more together; a way out of an area and back into it keeps its ends apart."""
    joined = dict(above)
    together: dict[str, list[str]] = {}
    for key in sorted(above):
        area, found, _ = key.partition("__")
        if not found or not area.startswith("intermediate/int_"):
            continue
        for first in [first for first in together if first.startswith(f"{area}__")]:
            if not _is_round_about(joined, first, key) and not _is_round_about(joined, key, first):
                joined = _joined(joined, [first, key])
                together[first].append(key)
                break
        else:
            together[key] = [key]
    return [keys for keys in together.values() if len(keys) > 1]


def _is_round_about(above: Mapping[str, set[str]], upper: str, lower: str) -> bool:
    """Whether a way leads from one key down to another over a third."""
    waiting, seen = [parent for parent in above[lower] if parent != upper], set[str]()
    while waiting:
        key = waiting.pop()
        if key == upper:
            return True
        if key not in seen:
            seen.add(key)
            waiting += above[key]
    return False


def _twins(above: Mapping[str, set[str]], groups: Mapping[str, str]) -> list[list[str]]:
    """Keys of one group that have the same parents and the same children, two and more together."""
    below = _below(above)
    found: dict[tuple[str, frozenset[str], frozenset[str]], list[str]] = defaultdict(list)
    for key in sorted(above):
        if groups[key] not in _ALWAYS_DRAWN:
            found[groups[key], frozenset(above[key]), frozenset(below[key])].append(key)
    return [keys for keys in found.values() if len(keys) > 1]


def _node(key: str) -> str:
    return re.sub(r"\W", "_", key)
