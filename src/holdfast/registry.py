"""Names for mechanisms: built-in tables and plug-ins, loaded when a name is first used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, overload

from holdfast.errors import UnknownNameError

if TYPE_CHECKING:
    from holdfast.extract.base import Extractor
    from holdfast.models.base import Embedder
    from holdfast.retention.base import Policy

RETENTION = {
    "demand": "holdfast.retention.demand:Demand",
    "age_weighted": "holdfast.retention.age_weighted:AgeWeighted",
    "coreset": "holdfast.retention.coreset:RiskCoreset",
    "coverage": "holdfast.retention.coverage:Coverage",
    "curvature": "holdfast.retention.curvature:Curvature",
    "diversity": "holdfast.retention.diversity:Diversity",
    "entropy": "holdfast.retention.entropy:Entropy",
    "gate": "holdfast.retention.gate:LearnedGate",
    "kmeans": "holdfast.retention.medoids:Medoids",
    "ladder": "holdfast.retention.ladder:DemotionLadder",
    "lfu": "holdfast.retention.lfu:LeastFrequentlyUsed",
    "lru": "holdfast.retention.lru:LeastRecentlyUsed",
    "maturity": "holdfast.retention.maturity:Maturity",
    "merge": "holdfast.retention.merge:EvictThenMerge",
    "oldest": "holdfast.retention.oldest:Oldest",
    "per_group": "holdfast.retention.per:PerGroup",
    "random": "holdfast.retention.uniform:RandomEviction",
    "rate_distortion": "holdfast.retention.rate_distortion:RateDistortion",
    "recurrence": "holdfast.retention.recurrence:RecurrenceGap",
    "sink_window": "holdfast.retention.sink_window:SinkWindow",
}

EMBEDDERS = {
    "minilm": "holdfast.models.minilm:MiniLM",
    "openai": "holdfast.models.openai:OpenAIEmbedder",
    "scripted": "holdfast.models.scripted:ScriptedEmbedder",
    "sentence-transformers": "holdfast.models.sentence_transformers:SentenceTransformersEmbedder",
}

EXTRACTORS = {
    "rules": "holdfast.extract.rules:Rules",
}

Table = Literal["retention", "embedder", "extractor"]

# Each table: what a message calls its members, the built-in ones, and the entry point group through
# which plug-ins add to them. A plug-in cannot replace a built-in name.
_TABLES: dict[Table, tuple[str, dict[str, str], str]] = {
    "retention": ("retention policy", RETENTION, "holdfast.retention"),
    "embedder": ("embedder", EMBEDDERS, "holdfast.embedders"),
    "extractor": ("extractor", EXTRACTORS, "holdfast.extractors"),
}


@overload
def resolve(table: Literal["retention"], spec: str, **options: object) -> Policy: ...
@overload
def resolve(table: Literal["embedder"], spec: str, **options: object) -> Embedder: ...
@overload
def resolve(table: Literal["extractor"], spec: str, **options: object) -> Extractor: ...
def resolve(table: Table, spec: str, **options: object) -> Any:
    """Make a mechanism from its name and options.

    Parameters
    ----------
    table
        Which kind of mechanism.
    spec
        A name, or a name with options: ``"sink_window:n_sink=8"``, several separated by commas.
        Values are read as whole numbers, decimals, true or false, else as text.
    options
        More options; they win over those in `spec`.

    Raises
    ------
    UnknownNameError
        If there is no such name, or the mechanism has no such option.
    MissingExtraError
        If the mechanism needs a package that is not installed.

    Examples
    --------
    >>> resolve("retention", "sink_window:n_sink=8")
    SinkWindow(n_sink=8)
    """
    name, _, text = spec.partition(":")
    make = load(table, name)
    given = {**_parse(text), **options}
    _check_options(f"{_TABLES[table][0]} {name!r}", make, given)
    return make(**given)


def load(table: Table, name: str) -> Callable[..., Any]:
    """The class registered under a name; importing it happens here and not before."""
    noun, builtin, _ = _TABLES[table]
    if name in builtin:
        module, _, attribute = builtin[name].partition(":")
        made: Callable[..., Any] = getattr(import_module(module), attribute)
        return made
    for plugin in _plugins(table):
        if plugin.name == name:
            made = plugin.load()
            return made
    raise _unknown(f"no {noun} {name!r}", name, known(table))


def known(table: Table) -> tuple[str, ...]:
    """Every name in a table, plug-ins included, sorted."""
    return tuple(sorted({*_TABLES[table][1], *(plugin.name for plugin in _plugins(table))}))


def _plugins(table: Table) -> Iterable[EntryPoint]:
    return entry_points(group=_TABLES[table][2])


def _parse(text: str) -> dict[str, object]:
    options: dict[str, object] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UnknownNameError(f"{part!r} is not an option; write options as key=value")
        options[key.strip()] = _value(value.strip())
    return options


def _value(text: str) -> object:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _check_options(what: str, make: Callable[..., Any], given: Iterable[str]) -> None:
    parameters = inspect.signature(make).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for key in given:
        if key not in parameters:
            raise _unknown(f"{what} has no option {key!r}", key, sorted(parameters))


def _unknown(problem: str, name: str, names: Iterable[str]) -> UnknownNameError:
    names = tuple(names)
    close = get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return UnknownNameError(f"{problem}{hint} Known: {', '.join(names) or 'none'}.")
