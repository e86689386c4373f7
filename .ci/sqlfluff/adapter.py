"""dbt's `adapter` as the SQL linter needs it: a macro of the engine becomes something of the same shape."""

from collections.abc import Callable

_RELATIONS = {
    "calendar_days": "select calendar_date from generated",
    "path_segments": "select path, place, segment, decoded from {0}",
}
_JOINS = {"asof_next": "left join {1} as {2} on {0}.{4} < {2}.{5}"}


def dispatch(name: str) -> Callable[..., str]:
    """Return a stand-in for the engine's form: a select, a join, or else a call of a function of that name."""

    def stand_in(*arguments: object) -> str:
        if name in _RELATIONS:
            return _RELATIONS[name].format(*arguments)
        if name in _JOINS:
            return _JOINS[name].format(*arguments)
        return f"{name}({', '.join(str(argument) for argument in arguments if not isinstance(argument, list))})"

    return stand_in
