"""`holdfast bench …`: measurements, each with the conditions it was taken under."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import click

WIDTH = 160  # a table that is broken over lines can be mended by a wider window, a cut one cannot

json_option = click.option(
    "--json",
    "out",
    is_flag=False,
    flag_value="-",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="[FILE]",
    help="Write the result as JSON to FILE, or to standard output.",
)
data_option = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False),
    help="The data set whose turns are written; by default the demo's stream.",
)
where_option = click.option(
    "--dir",
    "directory",
    type=click.Path(exists=True, file_okay=False),
    default=".",
    show_default=True,
    help="Where to write: it must lie on the disk in question.",
)
sets_option = click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False),
    help="The folder that holds the sets.",
)


@click.group(invoke_without_command=True)
@click.pass_context
def bench(ctx: click.Context) -> None:
    """Measure: recall quality, retention, writes, a long stream, latency, peers."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@bench.command()
@click.argument("directory", required=False, type=click.Path(exists=True, file_okay=False))
@click.option(
    "--unit", type=click.Choice(["turn", "session"]), help="What a ranked list is made of."
)
@click.option("--embedder", help="none, minilm or another registered name.  [default: none]")
@click.option("--budget", help="Bytes on disk for each stream; by default more than any set needs.")
@click.option(
    "--system",
    "systems",
    multiple=True,
    help="What to measure (holdfast, bm25, dense, hybrid, recency, none, whole); more than once "
    "for a table.",
)
@click.option("--streams", type=int, help="Only the first so many streams.")
@json_option
@click.option("--all", "everything", is_flag=True, help="Every standard set and system instead.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False),
    help="With --all: the folder that holds the sets.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False),
    default="build/recall",
    show_default=True,
    help="With --all: where results, tables and plots go; a rerun takes up what is there.",
)
@click.option("--only", multiple=True, metavar="SET", help="With --all: these sets.")
@click.option("--peers", is_flag=True, help="With --all: other memories too, where installed.")
def recall(
    directory: str | None,
    unit: str | None,
    embedder: str | None,
    budget: str | None,
    systems: tuple[str, ...],
    streams: int | None,
    out: str | None,
    everything: bool,
    data: str | None,
    folder: str,
    only: tuple[str, ...],
    peers: bool,
) -> None:
    """Measure recall on the set in DIRECTORY (turns.jsonl.gz and queries.jsonl.gz), or on all."""
    if everything:
        if data is None or directory is not None:
            raise click.UsageError("--all takes the folder of the sets as --data, no DIRECTORY")
        if unit or embedder or budget or systems:
            raise click.UsageError(
                "--all runs the standard forms: no --unit, --embedder, --budget or --system"
            )
        _recall_all(data, folder, only, streams, peers, out)
        return
    if directory is None:
        raise click.UsageError("a DIRECTORY with a data set is needed, or --all and --data")
    from holdfast.bench.recall import run

    result = run(
        directory,
        unit=unit,  # type: ignore[arg-type]  # click has checked it
        embedder=None if embedder == "none" else embedder,
        budget=budget,
        systems=systems or ("holdfast",),
        streams=streams,
        progress=_say,
    )
    _give(result, out)


def _recall_all(
    data: str,
    folder: str,
    only: tuple[str, ...],
    streams: int | None,
    peers: bool,
    out: str | None,
) -> None:
    """Measure everything, write it down, and say where."""
    from holdfast.bench.pages import write
    from holdfast.bench.peers.install import PEERS
    from holdfast.bench.whole import run

    chosen = tuple(PEERS) if peers else ()
    results = run(data, folder, only=only, streams=streams, peers=chosen, progress=_say)
    paths = list(write(results, folder))
    if out:
        _write(json.dumps({"written": [str(path) for path in paths]}), out)
    if out != "-":
        for path in paths:
            click.echo(path)


@bench.command()
@data_option
@where_option
@click.option("--seconds", default=2.0, show_default=True, help="Length of each measurement.")
@click.option("--repeats", default=3, show_default=True, help="Rounds; figures are medians.")
@click.option("--budget", default="1 GiB", show_default=True, help="Bytes on disk.")
@json_option
def write(
    data: str | None, directory: str, seconds: float, repeats: int, budget: str, out: str | None
) -> None:
    """Measure durable writes: single, grouped and bulk, beside the raw disk."""
    from holdfast.bench.write import run

    result = run(
        data=data,
        directory=directory,
        seconds=seconds,
        repeats=repeats,
        budget=budget,
        progress=_say,
    )
    _give(result, out)


@bench.command()
@data_option
@where_option
@click.option("--events", default=1_000_000, show_default=True, help="Length of the stream.")
@click.option("--budget", default="64 MiB", show_default=True, help="Bytes on disk.")
@json_option
def stream(data: str | None, directory: str, events: int, budget: str, out: str | None) -> None:
    """Measure a long stream: cost per event, recall latency, RAM and bytes on disk."""
    from holdfast.bench.stream import run

    _give(run(events=events, budget=budget, data=data, directory=directory, on_row=_row), out)


@bench.command()
@data_option
@where_option
@click.option(
    "--size",
    "sizes",
    type=int,
    multiple=True,
    default=(10_000, 100_000),
    show_default=True,
    help="Events held; more than once for more rows.",
)
@click.option("--budget", default="8 GiB", show_default=True, help="Bytes on disk.")
@json_option
def latency(
    data: str | None, directory: str, sizes: tuple[int, ...], budget: str, out: str | None
) -> None:
    """Measure the latency of recall against the number of events held."""
    from holdfast.bench.stream import latency as run

    _give(run(sizes=sorted(sizes), budget=budget, data=data, directory=directory, on_row=_row), out)


@bench.command()
@data_option
@where_option
@click.option("--events", default=20_000, show_default=True, help="Events held.")
@click.option("--budget", default="64 MiB", show_default=True, help="Bytes on disk.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of each measurement.")
@click.option("--repeats", default=2, show_default=True, help="Rounds; figures are medians.")
@json_option
def server(
    data: str | None,
    directory: str,
    events: int,
    budget: str,
    seconds: float,
    repeats: int,
    out: str | None,
) -> None:
    """Measure the server beside the engine it stands on, and what it does under overload."""
    from holdfast.models.extras import need

    need("uvicorn", "server")
    from holdfast.bench.server import run, tables

    result = run(
        data=data,
        directory=directory,
        events=events,
        budget=budget,
        seconds=seconds,
        repeats=repeats,
        progress=_say,
    )
    _give_tables(result, out, tables)


@bench.command()
@click.argument("directory", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--peer", "peers", multiple=True, help="Which; more than once for more. All if none.")
@click.option("--install", is_flag=True, help="Make the peers' environments first (uses pip).")
@click.option(
    "--vectors",
    type=click.Path(exists=True, file_okay=False),
    help="A folder with turns.npy and queries.npy; hashed words otherwise.",
)
@click.option("--limit", default=3_000, show_default=True, help="Turns that are added.")
@click.option("--repeats", default=1, show_default=True, help="Rounds; figures are medians.")
@json_option
def peers(
    directory: str | None,
    peers: tuple[str, ...],
    install: bool,
    vectors: str | None,
    limit: int,
    repeats: int,
    out: str | None,
) -> None:
    """Measure other memories on the set in DIRECTORY, beside Holdfast in the same minutes."""
    from holdfast.bench.peers.install import PEERS
    from holdfast.bench.peers.install import install as make

    chosen = peers or tuple(PEERS)
    if install:
        for name in chosen:
            _say(f"installing {name}")
            make(name)
    if directory is None:
        if install:
            if out:
                _write(json.dumps({"installed": list(chosen)}), out)
            return
        raise click.UsageError("a DIRECTORY with a data set is needed")
    from holdfast.bench.peers.compare import run

    result = run(
        directory, peers=chosen, vectors=vectors, limit=limit, repeats=repeats, progress=_say
    )
    _give(result, out)


@bench.command()
@click.option(
    "--embedder", default="minilm", show_default=True, help="For dense and hybrid rows, or none."
)
@click.option("--seed", default=7, show_default=True, help="Which corpus is dealt out.")
@json_option
def tenure(embedder: str, seed: int, out: str | None) -> None:
    """Measure precision on closely related beliefs, by learnt aliases and by vectors."""
    from holdfast.bench.report import to_json
    from holdfast.bench.tenure import run
    from holdfast.bench.tenure import show as show_tenure

    result = run(embedder=None if embedder == "none" else embedder, seed=seed, progress=_say)
    if out:
        _write(to_json(result), out)
    if out != "-":
        from rich.console import Console

        show_tenure(result, Console(width=max(Console().width, WIDTH)))


@bench.command()
@sets_option
@click.option("--only", multiple=True, metavar="SET", help="This set; more than once for more.")
@click.option(
    "--system",
    "systems",
    multiple=True,
    help="What to measure; more than once for more.  [default: holdfast, bm25, recency]",
)
@click.option("--streams", type=int, help="Only the first so many streams of each set.")
@json_option
def state(
    data: str, only: tuple[str, ...], systems: tuple[str, ...], streams: int | None, out: str | None
) -> None:
    """Measure whether the value that holds now comes before the one it replaced."""
    from holdfast.bench.state import STANDARD, run, tables

    result = run(data, only=only, systems=systems or STANDARD, streams=streams, progress=_say)
    _give_tables(result, out, tables)


@bench.command()
@sets_option
@click.option(
    "--budgets",
    default="1,1/2,1/4,1/8,1/16",
    show_default=True,
    help="Room for content, as shares of the raw bytes.",
)
@click.option(
    "--policies",
    multiple=True,
    default=("all",),
    show_default=True,
    help="Names with commas between, or one with options (ladder:decay=0.5); more than once for "
    "more. The default policy is always among them.",
)
@click.option("--only", multiple=True, metavar="SET", help="This set; more than once for more.")
@click.option(
    "--streams",
    multiple=True,
    metavar="[SET=]N",
    help="Only the first so many streams of that set, or of each other one.",
)
@click.option("--jobs", default=2, show_default=True, help="Processes that measure at once.")
@click.option(
    "--resume",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Keep each cell there and take up those that are; empty it for a fresh run.",
)
@click.option(
    "--plot",
    "plots",
    multiple=True,
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Draw the curves, as .svg or .png; more than once for both.",
)
@json_option
def retention(
    data: str,
    budgets: str,
    policies: tuple[str, ...],
    only: tuple[str, ...],
    streams: tuple[str, ...],
    jobs: int,
    resume: str | None,
    plots: tuple[str, ...],
    out: str | None,
) -> None:
    """Measure what retention policies keep under equal budgets, against no bound at all."""
    from holdfast.bench.grid import parse_fractions, parse_policies, parse_streams, run
    from holdfast.bench.retention_plot import check
    from holdfast.bench.retention_plot import write as draw
    from holdfast.bench.retention_tables import screen

    try:
        fractions, caps = parse_fractions(budgets), parse_streams(streams)
        for path in plots:
            check(path)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    result = run(
        data,
        only=only,
        budgets=fractions,
        policies=parse_policies(policies),
        streams=caps,
        jobs=jobs,
        resume=resume,
        progress=_say,
    )
    for path in plots:
        draw(result, path)
    _give_tables(result, out, screen)


@bench.command()
@sets_option
@click.option("--only", multiple=True, metavar="SET", help="This set; more than once for more.")
@click.option("--policy", "policies", multiple=True, help="What lets go; more than once for more.")
@click.option("--streams", type=int, help="Only the first so many streams of each set.")
@json_option
def fidelity(
    data: str,
    only: tuple[str, ...],
    policies: tuple[str, ...],
    streams: int | None,
    out: str | None,
) -> None:
    """Measure whether the memory's own meter is true, on sets whose evidence is known."""
    from holdfast.bench.calibration import STANDARD, run, tables

    result = run(
        data, only=only, policies=policies or STANDARD, streams=streams, progress=_say
    )  # fmt: skip
    _give_tables(result, out, tables)


def _say(line: str) -> None:
    """Say on standard error what is being measured."""
    click.echo(line, err=True)


def _row(row: dict[str, Any]) -> None:
    """Show a row as soon as it is measured."""
    cost, p50 = row["wall_us"], row["recall_ms"]["p50"]
    _say(f"{row['events']:>12,} events: {cost:,.1f} µs an event, recall p50 {p50} ms")


def _give(result: dict[str, Any], out: str | None) -> None:
    """Write a result as JSON, or print it for people, or both."""
    _put(result, out)
    if out != "-":
        from rich.console import Console

        from holdfast.bench.report import show

        show(result, Console(width=max(Console().width, WIDTH)))


def _give_tables(
    result: dict[str, Any], out: str | None, tables: Callable[[dict[str, Any]], Iterable[Any]]
) -> None:
    """Write a result as JSON, or print its tables for people, or both."""
    _put(result, out)
    if out != "-":
        from rich.console import Console

        console = Console(width=max(Console().width, WIDTH))
        for table in tables(result):
            console.print(table)


def _put(result: dict[str, Any], out: str | None) -> None:
    """Write a result as JSON, if that is asked for."""
    from holdfast.bench.report import to_json

    if out:
        _write(to_json(_one(result)), out)


def _write(text: str, out: str) -> None:
    """Write a JSON document to a file, or to standard output."""
    with click.open_file(out, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def _one(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with a single row of recall as one flat object."""
    rows = result["results"]
    if result["benchmark"] != "recall" or len(rows) != 1:
        return result
    return {**rows[0], **{name: value for name, value in result.items() if name != "results"}}
