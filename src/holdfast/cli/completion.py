"""`holdfast completion`: what a shell needs to complete our command lines."""

from __future__ import annotations

import click

from holdfast.cli.common import json_option, print_json

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
@json_option
@click.pass_context
def completion(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print a script that lets a SHELL complete commands, options and files: bash, zsh or fish.

    Bash: add eval "$(holdfast completion bash)" to ~/.bashrc. Zsh: the same with zsh, in ~/.zshrc
    after compinit. Fish: write it to ~/.config/fish/completions/holdfast.fish.
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None, "click knows the shells that the choice offers"
    script = made(ctx.find_root().command, {}, "holdfast", "_HOLDFAST_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
