"""`holdfast serve`: the memories of a folder over HTTP."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import click

from holdfast.cli.common import json_option, print_json
from holdfast.models.extras import need

if TYPE_CHECKING:
    import socket

    from holdfast.server.app import Server

PORT = 8642


@click.command()
@click.option(
    "--root",
    type=click.Path(file_okay=False),
    default=".",
    show_default=True,
    help="The folder of the memories; made if it is not there.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="A name that browsers and proxies call this server by; more than once for several.",
)
@click.option("--embedder", help="A model for recall by meaning, for all memories.")
@click.option("--retention", default="demand", show_default=True, help="What chooses what to keep.")
@click.option("--most-open", default=16, show_default=True, help="Memories open at once.")
@click.option("--waiting", default=7, show_default=True, help="Reads that may wait; more get 429.")
@click.option("--issuer", help="Take the tokens of this OpenID Connect issuer, too.")
@click.option("--audience", help="What such a token must be for.")
@click.option("--jwks", help="Where the issuer's public keys are: an https address, or a file.")
@click.option("--trace-content", is_flag=True, help="Put the text of queries into traces.")
@json_option
def serve(
    root: str,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    embedder: str | None,
    retention: str,
    most_open: int,
    waiting: int,
    issuer: str | None,
    audience: str | None,
    jwks: str | None,
    trace_content: bool,
    as_json: bool,
) -> None:
    """Serve the memories of a folder: HTTP under /v1, MCP under /mcp, the inspector at /.

    Without keys, whoever can reach it on this machine is the owner; from the first key on
    (`holdfast key create`), every request needs one, also when the last is revoked. Other addresses
    than this machine's own, and other names for it, are refused until there is a key. Stops at
    SIGTERM or Ctrl-C, once what it was asked is answered.
    """
    if (issuer, audience, jwks).count(None) not in (0, 3):
        raise click.UsageError("--issuer, --audience and --jwks go together")
    need("uvicorn", "server")
    need("starlette", "server")
    from holdfast.registry import resolve
    from holdfast.server.app import Limits, Server
    from holdfast.server.guard import LOOPBACK
    from holdfast.server.run import is_loopback, serve_on
    from holdfast.service.credentials import Credentials
    from holdfast.service.keys import Keys
    from holdfast.service.root import Root
    from holdfast.service.tokens import Tokens

    os.makedirs(root, exist_ok=True)
    options = {"embedder": embedder, "retention": retention}
    resolve("retention", retention)  # a mistyped name ends it here, not at the first request
    if embedder is not None:
        resolve("embedder", embedder)
    tokens = Tokens(issuer, audience, jwks) if issuer and audience and jwks else None
    server = Server(
        Root(root, most_open=most_open, options=options),
        Credentials(Keys(root), tokens, open=is_loopback(host) and not allow_host),
        (*LOOPBACK, *allow_host) if is_loopback(host) or allow_host else ("*",),
        Limits(waiting=waiting),
        trace_content,
    )
    for name in server.root.unnamed():
        click.echo(
            f"left out: {name}.holdfast (a name has ASCII letters, digits and ._-)", err=True
        )
    with _listening(server, host, port, bool(allow_host)) as listener:
        address = f"http://{_shown(host)}:{listener.getsockname()[1]}"
        if as_json:
            print_json({"address": address})
        else:
            asks = "every request needs a key" if server.credentials.required else "no key needed"
            click.echo(f"serving {root} at {address} ({asks}); stop with Ctrl-C")
        serve_on(server, listener)


def _listening(server: Server, host: str, port: int, named: bool) -> socket.socket:
    """The socket that it listens at; what goes wrong says what to do about it."""
    from holdfast.server.run import listen

    try:
        return listen(server, host, port, named=named)
    except OSError as wrong:
        if wrong.errno != errno.EADDRINUSE:
            raise
        raise click.UsageError(f"port {port} is in use; choose another with --port") from None


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
