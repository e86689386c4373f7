"""The last answers of oracles that others ask again and again about the same rows.

Belongs here: remembering. Does not belong here: what is remembered; an oracle must not change what it gets of another.
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


def remembered(oracle: Callable[Asked, Answer]) -> Callable[Asked, Answer]:
    """An oracle that computes an answer once for equal facts, configuration and names: comparing them takes next to no time."""
    answers: deque[tuple[Any, Answer]] = deque(maxlen=4)

    @wraps(oracle)
    def ask(*asked: Asked.args, **named: Asked.kwargs) -> Answer:
        facts, *others = asked
        for question, answer in answers:
            if question == (others, named, facts):
                return answer
        answer = oracle(*asked, **named)
        # A copy: the test may go on to change its rows.
        answers.append(((others, named, _copied(facts)), answer))
        return answer

    return ask


def _copied(facts: Any) -> Mapping[str, Any]:
    return {source: type(rows)(dict(row) for row in rows) for source, rows in facts.items()}
