"""The reference page of the command line, and the exit codes shared by all commands.

Belongs here: its text. Does not belong here: facts about a command, stated in its help.
"""

from collections.abc import Iterable, Mapping

import click

from orchestration.reference.markdown import NOTE, slug, table

EXIT_CODES: Mapping[int, str] = {
    0: "Done.",
    1: "The night failed or the gate refused it; the last release still stands. `northstar status` and `northstar diff` also"
    " return 1 to report what they found.",
    2: "The request was wrong: an argument, a setting or a folder. One line says what to correct.",
    130: "Interrupted by Ctrl-C. The last release still stands, and the next night continues from there.",
    143: "Interrupted by SIGTERM, with the same effect.",
}
"""Exit codes of the command line: code → meaning."""


def commands_page(group: click.Group) -> str:
    """Return the page of a command line: an overview, each command with its arguments and options, and the exit codes."""
    found = list(_commands(group, "northstar"))
    overview = table(
        ("command", "what it does"),
        ((f"[`{name}`](#{slug(name)})", command.get_short_help_str(limit=1_000)) for name, command in found),
    )
    codes = table(("code", "meaning"), ((str(code), meaning) for code, meaning in EXIT_CODES.items()))
    details = "\n".join(_command(name, command) for name, command in found)
    return f"""{NOTE}
# Commands

{overview}
{details}
## Exit codes

{codes}"""


def _commands(group: click.Group, prefix: str) -> Iterable[tuple[str, click.Command]]:
    for command in group.commands.values():
        name = f"{prefix} {command.name}"
        yield name, command
        if isinstance(command, click.Group):
            yield from _commands(command, name)


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    lines = [f"## `{name}`\n", f"    {_usage(context)}\n", f"{' '.join((command.help or '').split())}\n"]
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        rows = (option.get_help_record(context) for option in options)
        lines.append(table(("option", "meaning"), ((f"`{record[0]}`", record[1]) for record in rows if record is not None)))
    return "\n".join(lines)


def _usage(context: click.Context) -> str:
    pieces = [context.command_path]
    for parameter in context.command.params:
        # The usage line shows a range as an integer; the table of options has its bounds.
        wanted = parameter.make_metavar(context).removesuffix(" RANGE")
        if isinstance(parameter, click.Option):
            option = parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {wanted}"
            pieces.append(option if parameter.required else f"[{option}]")
        else:
            pieces.append(wanted)
    return " ".join(pieces)
