"""The group of commands, and the one place where an exception becomes an exit code."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from holdfast import __version__
from holdfast.cli.examples import EXAMPLES, START
from holdfast.cli.failures import REPORTED, explain, fail, wants_json
from holdfast.operations import summary_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# section -> word -> (where the command is, its line in the help); a module loads when it is used.
# The sections are in the order in which somebody new needs them, and each line fits 80 columns.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Remember": {
        "observe": (
            "holdfast.cli.observe:observe",
            "Store events from a file, a pipe or a growing log.",
        ),
        "believe": ("holdfast.cli.beliefs:believe", summary_of("believe")),
        "retract": ("holdfast.cli.beliefs:retract", summary_of("retract")),
        "used": ("holdfast.cli.sharing:used", summary_of("used")),
    },
    "Recall": {
        "recall": (
            "holdfast.cli.read:recall",
            "Return cited, byte-exact context for a question.",
        ),
        "why-not": ("holdfast.cli.read:why_not", summary_of("why-not")),
        "log": ("holdfast.cli.read:log", "Print what is kept, in the order it was stored."),
        "beliefs": ("holdfast.cli.beliefs:beliefs", summary_of("beliefs")),
        "history": ("holdfast.cli.beliefs:history", summary_of("history")),
        "forgotten": (
            "holdfast.cli.forgetting:forgotten",
            "Say whether something was known once and is not any more.",
        ),
        "ledger": (
            "holdfast.cli.forgetting:ledger",
            "Say what was let go of to make room, when and for what.",
        ),
    },
    "The file": {
        "status": ("holdfast.cli.keep:status", "Say where the bytes are, and how many events."),
        "resize": ("holdfast.cli.keep:resize", "Change the budget; shrinking lets go of events."),
        "export": ("holdfast.cli.keep:export", summary_of("export")),
        "import": (
            "holdfast.cli.keep:import_",
            "Read an export, or what another program remembers.",
        ),
        "doctor": (
            "holdfast.cli.doctor:doctor",
            "Check this machine, and a file, for what could go wrong.",
        ),
    },
    "Plug it in": {
        "mcp": ("holdfast.cli.mcp:mcp", "Serve one memory to an agent that speaks MCP."),
        "setup": (
            "holdfast.cli.setup:setup",
            "Connect Claude, Cursor, VS Code or Codex to a memory.",
        ),
        "serve": (
            "holdfast.cli.serve:serve",
            "Serve a folder: HTTP, MCP, and an inspector to look at.",
        ),
        "key": ("holdfast.cli.key:key", "Make, list, replace and revoke keys of a folder."),
    },
    "State": {
        "state": (
            "holdfast.cli.state:state",
            "Show, change and step through documents and automata.",
        ),
        "watch": ("holdfast.cli.moments:watch", summary_of("watch")),
    },
    "Time": {
        "snapshot": (
            "holdfast.cli.moments:snapshot",
            "Keep this moment under a name, or list those kept.",
        ),
        "fork": ("holdfast.cli.moments:fork", summary_of("fork")),
        "diff": ("holdfast.cli.moments:diff", summary_of("diff")),
        "rollback": ("holdfast.cli.moments:rollback", summary_of("rollback")),
    },
    "Sharing and trust": {
        "grant": ("holdfast.cli.sharing:grant", summary_of("grant")),
        "grants": ("holdfast.cli.sharing:grants", summary_of("grants")),
        "promote": ("holdfast.cli.sharing:promote", summary_of("promote")),
        "revoke": ("holdfast.cli.sharing:revoke", summary_of("revoke")),
        "reinstate": ("holdfast.cli.sharing:reinstate", summary_of("reinstate")),
    },
    "Proof and erasure": {
        "verify": ("holdfast.cli.proof:verify", summary_of("verify")),
        "new-key": ("holdfast.cli.proof:new_key", "Make a key that signs checkpoints."),
        "checkpoint": ("holdfast.cli.proof:checkpoint", summary_of("checkpoint")),
        "prove": ("holdfast.cli.proof:prove", summary_of("prove")),
        "erase": ("holdfast.cli.proof:erase", summary_of("erase")),
    },
    "Measure": {
        "fidelity": (
            "holdfast.cli.fidelity:fidelity",
            "Measure how much of all that was observed comes back.",
        ),
        "advise": ("holdfast.cli.fidelity:advise", summary_of("advise")),
        "demo": (
            "holdfast.cli.demo:demo",
            "Squeeze a real stream into a small budget; write a report.",
        ),
        "bench": (
            "holdfast.cli.bench:bench",
            "Measure: recall quality, writes, a long stream, peers.",
        ),
    },
    "The shell": {
        "completion": (
            "holdfast.cli.completion:completion",
            "Print what lets bash, zsh or fish complete commands.",
        ),
    },
}
COMMANDS: dict[str, tuple[str, str]] = {
    word: row for section in SECTIONS.values() for word, row in section.items()
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        command.help = command.help or COMMANDS[name][1]
        _add_example(command, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            close = [f" Did you mean {one!r}?" for one in get_close_matches(name, COMMANDS, n=1)]
            raise click.UsageError(f"No such command {name!r}.{''.join(close)}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        rows = ((name, line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete))
        found = [CompletionItem(name, help=line) for name, line in rows]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        with formatter.section("Start here"):
            for name in START:
                formatter.write(f"{'':>{formatter.current_indent}}{EXAMPLES[name]}\n")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))  # one column for all sections
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(n.ljust(width), line) for n, (_, line) in commands.items()])


def _add_example(command: click.Command, words: str) -> None:
    """Show the example of a command, or of each command of a group, below its help."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            _add_example(inner, f"{words} {name}")
    elif words in EXAMPLES:
        command.epilog = f"\b\nExample:\n  {EXAMPLES[words]}"


def _version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"holdfast {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Print the version and stop.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """A memory for agents: one file, one hard budget, cited answers.

    Every command takes --json, and has an example in its --help. Errors are one line on standard
    error, then a hint.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code; print what went wrong, never a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = wants_json(given)
    _spare_streams()
    try:
        _check_text(given)
        code = cli.main(args=given, prog_name="holdfast", standalone_mode=False)
    except click.UsageError as wrong:
        where = wrong.ctx.command_path if wrong.ctx else "holdfast"
        hint = f"see: {where} --help"
        return fail(2, "UsageError", wrong.format_message(), hint, as_json=as_json)
    except click.ClickException as wrong:
        return fail(1, type(wrong).__name__, wrong.format_message(), as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        hint = "what had been acknowledged is stored"
        return fail(130, "KeyboardInterrupt", "interrupted", hint, as_json=as_json)
    except SystemExit:
        return 0  # click ends like this when who reads our output has enough
    except REPORTED as failure:
        code, message, hint = explain(failure)
        return fail(code, type(failure).__name__, message, hint, as_json=as_json)
    return code if isinstance(code, int) else 0


def _spare_streams() -> None:
    """Let a terminal that cannot show a character show its number, not stop the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8: they could be stored, and never be written again."""
    for number, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"argument {number} is not UTF-8") from None
