"""The group of commands, and the one place where an exception becomes an exit code."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click

from holdfast import __version__
from holdfast.errors import (
    AccessError,
    AuditError,
    BudgetError,
    ConflictError,
    CorruptStoreError,
    HoldfastError,
    InvalidClaimError,
    InvalidEventError,
    MissingExtraError,
    NotFoundError,
    PatchError,
    StorageFullError,
    StoreBusyError,
    StoreError,
    TransitionError,
)
from holdfast.operations import summary_of

# section -> word -> (where the command is, its line in the help); a module loads when it is used
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
        "recall": ("holdfast.cli.read:recall", summary_of("recall")),
        "why-not": ("holdfast.cli.read:why_not", summary_of("why-not")),
        "log": ("holdfast.cli.read:log", summary_of("log")),
        "forgotten": ("holdfast.cli.forgetting:forgotten", summary_of("forgotten")),
        "ledger": ("holdfast.cli.forgetting:ledger", summary_of("ledger")),
        "beliefs": ("holdfast.cli.beliefs:beliefs", summary_of("beliefs")),
        "history": ("holdfast.cli.beliefs:history", summary_of("history")),
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
    "The file": {
        "status": ("holdfast.cli.keep:status", summary_of("status")),
        "resize": ("holdfast.cli.keep:resize", summary_of("resize")),
        "export": ("holdfast.cli.keep:export", summary_of("export")),
        "import": ("holdfast.cli.keep:import_", summary_of("import")),
    },
    "Measure": {
        "fidelity": ("holdfast.cli.fidelity:fidelity", summary_of("fidelity")),
        "advise": ("holdfast.cli.fidelity:advise", summary_of("advise")),
        "demo": (
            "holdfast.cli.demo:demo",
            "Squeeze a real stream into a small budget, ask it questions, write a report.",
        ),
        "bench": (
            "holdfast.cli.bench:bench",
            "Measure: recall quality, writes, a long stream, peers.",
        ),
    },
}
COMMANDS: dict[str, tuple[str, str]] = {
    word: row for section in SECTIONS.values() for word, row in section.items()
}

# The first class that matches names the exit code and what to do if the message does not say.
FAILURES: tuple[tuple[type[Exception], int, str], ...] = (
    (CorruptStoreError, 3, "see what is damaged with: holdfast verify FILE"),
    (AuditError, 3, "check that note, key and file belong together"),
    (InvalidEventError, 4, "nothing of that event was stored; mend it and try again"),
    (InvalidClaimError, 4, "nothing was stored; mend it and try again"),
    (PatchError, 4, "nothing was changed; mend it and try again"),
    (BudgetError, 5, "give it a larger --budget"),
    (StorageFullError, 5, "free some space on the disk and try again"),
    (StoreBusyError, 6, "another process is using this memory; try again"),
    (ConflictError, 7, "read what is there now, and decide again"),
    (TransitionError, 7, "see which events are legal now with: holdfast state get FILE NAME"),
    (AccessError, 8, "see what is granted with: holdfast grants FILE"),
    (NotFoundError, 1, "check the path, the name or the number"),
    (MissingExtraError, 1, "install the extra that the message names"),
    (StoreError, 1, "the memory is as it was before this command"),
    (HoldfastError, 1, "see: holdfast --help"),
    (FileExistsError, 1, "choose another path"),
    (OSError, 1, "check the path and its permissions"),
)


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
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))  # one column for all sections
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(n.ljust(width), line) for n, (_, line) in commands.items()])


def _version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"holdfast {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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

    Every command takes --json. Errors are one line on standard error, then a hint.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code; print what went wrong, never a traceback."""
    try:
        code = cli.main(args=arguments, prog_name="holdfast", standalone_mode=False)
    except click.UsageError as wrong:
        where = wrong.ctx.command_path if wrong.ctx else "holdfast"
        return fail(2, wrong.format_message(), f"see: {where} --help")
    except click.ClickException as wrong:
        return fail(1, wrong.format_message(), "")
    except (KeyboardInterrupt, click.Abort):
        return fail(130, "interrupted", "what had been acknowledged is stored")
    except SystemExit:
        return 0  # click ends like this when who reads our output has enough
    except (HoldfastError, OSError) as failure:
        code, hint = next(row[1:] for row in FAILURES if isinstance(failure, row[0]))
        message, _, advice = describe(failure).rpartition("; ")
        return fail(code, message or advice, advice if message else hint)
    return code if isinstance(code, int) else 0


def describe(failure: Exception) -> str:
    """Return the message of an exception on one line."""
    if isinstance(failure, OSError) and failure.strerror:
        where = f"{failure.filename}: " if failure.filename else ""
        return f"{where}{failure.strerror.lower()}"
    return " ".join(str(failure).split()).rstrip(".") or type(failure).__name__


def fail(code: int, message: str, hint: str) -> int:
    """Print an error line, and a hint if there is one."""
    click.echo(f"error: {' '.join(message.split())}", err=True)
    if hint:
        click.echo(f"hint: {' '.join(hint.split())}", err=True)
    return code
