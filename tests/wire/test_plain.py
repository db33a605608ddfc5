"""What `plain` makes of results is what the schemas say: for every operation, of a full memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, get_type_hints

import pytest

pytest.importorskip("pydantic", reason="the server needs the extra 'server'")

from hypothesis import given
from hypothesis import strategies as st

from holdfast import Memory
from holdfast.errors import HoldfastError
from holdfast.operations import BY_NAME
from holdfast.service.call import offered
from holdfast.wire.arguments import PAGE, arguments, pages
from holdfast.wire.plain import parse_time, plain
from holdfast.wire.schema import Schema, schema_of

from fullworld import CALLS, copy_to, options

jsonschema = pytest.importorskip("jsonschema", reason="schemas are checked by jsonschema")

NO_JSON = {"export", "import"}  # a stream out and a stream in


def closed(schema: Schema) -> Schema:
    """A schema that takes no field it does not name, nor an item beyond those it lists."""
    return {
        **schema,
        **({"additionalProperties": False} if "properties" in schema else {}),
        **({"items": False} if "prefixItems" in schema else {}),
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[str, Any]]]:
    """The name and the result of every call that succeeds."""
    folder = tmp_path_factory.mktemp("full")
    copy_to(folder)
    found = []
    with Memory.open(folder / "ana.holdfast", **options()) as memory:
        for name, given_ in CALLS:
            operation = BY_NAME[name]
            filled = arguments(operation, given_)
            limit = filled.pop(PAGE, 1000) if pages(operation) else None
            try:
                result = getattr(memory, operation.method)(**filled)
                if isinstance(result, Iterator):
                    result = list(islice(result, limit))
            except HoldfastError:
                continue
            found.append((name, plain(result)))
        yield found


def test_every_result_is_as_its_schema_says(results: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, result in results:
        records: dict[str, Schema] = {}
        hint = get_type_hints(BY_NAME[name].function)["return"]
        schema = schema_of(hint, records)
        schema["$defs"] = {key: closed(one) for key, one in records.items()}
        jsonschema.Draft202012Validator.check_schema(schema)
        written = json.loads(json.dumps(result, allow_nan=False))
        errors = list(jsonschema.Draft202012Validator(schema).iter_errors(written))
        assert not errors, f"{name}: {errors[0].message} at {list(errors[0].absolute_path)}"
        seen.add(name)
    assert seen == {one.name for one in offered()} - NO_JSON


def test_the_results_have_something_of_everything_in_them(results: list[tuple[str, Any]]) -> None:
    text = json.dumps(dict(results)["log"] + [one for name, one in results if name == "log"])
    for tier in ("verbatim", "gist", "trace"):
        assert f'"tier": "{tier}"' in text
    assert '{"base64": "AAEC' in text
    assert any(one["beliefs"] for name, one in results if name == "recall")
    assert dict(results)["checkpoint"]["checkpoint"]["root"]
    assert dict(results)["erase"]["leaves"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
        | st.binary() | st.builds(Path, st.text("ab/", min_size=1)),
        lambda inner: st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner)
        | st.frozensets(st.integers()),
    )
)  # fmt: skip
def test_whatever_is_made_plain_json_can_hold(value: object) -> None:
    made = plain(value)
    assert plain(made) == made
    if "inf" not in repr(made):
        json.dumps(made, allow_nan=False)


@given(st.text() | st.floats() | st.integers() | st.booleans() | st.none())
def test_a_time_is_a_number_of_seconds_or_refused(value: object) -> None:
    try:
        found = parse_time(value)
    except ValueError:
        return
    assert found - found == 0.0  # no infinity, and no NaN
