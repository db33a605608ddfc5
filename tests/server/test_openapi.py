"""The description is a valid one, complete, and true of whatever is sent."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server needs the extra 'server'")
pytest.importorskip("prometheus_client", reason="the server needs the extra 'server'")
pytest.importorskip("httpx", reason="the server is asked by httpx")

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from holdfast.server.app import Limits
from holdfast.server.bodies import NDJSON
from holdfast.server.openapi import describe
from holdfast.server.routes import STREAMED
from holdfast.service.call import offered
from holdfast.service.credentials import Credentials
from holdfast.service.keys import Keys
from holdfast.service.root import Root

from fullworld import copy_to, options
from serverlab import Bare, Lab, serving

jsonschema = pytest.importorskip("jsonschema", reason="schemas are checked by jsonschema")
schemathesis = pytest.importorskip("schemathesis", reason="requests are made up by schemathesis")

EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "3"))
NOT_ASKED = {"watch"}  # it has no end


def test_every_operation_is_described_with_its_arguments_and_its_result() -> None:
    paths = describe()["paths"]
    assert set(paths) == {
        "/v1/memories", "/v1/memories/{memory}",
        *(f"/v1/memories/{{memory}}/{one.name}" for one in offered()),
    }  # fmt: skip
    ids = Counter()  # type: ignore[var-annotated]
    for path, methods in paths.items():
        for method, told in methods.items():
            if method == "parameters":
                continue
            ids[told["operationId"]] += 1
            assert told["summary"], path
            assert {"200", "401", "403", "404", "422", "429"} <= set(told["responses"])
    assert max(ids.values()) == 1
    for one in offered():
        methods = set(paths[f"/v1/memories/{{memory}}/{one.name}"]) - {"parameters"}
        expected = {"post", "get"} if one.effect == "read" else {"post"}
        assert methods == ({"get"} if one.name in ("watch", "export") else expected), one.name


def test_every_schema_and_example_in_it_is_valid(full: Lab) -> None:
    document = full.client.get("/openapi.json").json()
    assert document == json.loads(json.dumps(describe()))
    assert document["openapi"] == "3.1.0"
    defined = document["components"]["schemas"]
    for name, schema in defined.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert "$defs" not in json.dumps(schema), name
    named = json.dumps(document).split('"$ref": "#/components/')[1:]
    for one in {text.partition('"')[0] for text in named}:
        kind, _, name = one.partition("/")
        assert name in document["components"][kind]
    for methods in document["paths"].values():
        body = methods.get("post", {}).get("requestBody", {}).get("content", {})
        told = body.get("application/json", {})
        if "example" in told:
            schema = {**told["schema"], "components": document["components"]}
            jsonschema.validate(told["example"], schema)


# ---- requests that schemathesis makes up -------------------------------------------------------


@schemathesis.serializer(NDJSON[0])
def _lines(context: Any, value: Any) -> bytes:
    """Lines as they are sent."""
    return str(value).encode("utf-8", "surrogatepass")


def loosened(schema: Any) -> Any:
    """A schema without `prefixItems`, which schemathesis turns into something it then refuses."""
    if isinstance(schema, list):
        return [loosened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: loosened(one) for name, one in schema.items()}
    if isinstance(parts := found.pop("prefixItems", None), list):
        found |= {"items": {"anyOf": parts}, "minItems": len(parts), "maxItems": len(parts)}
    return found


SCHEMA = schemathesis.openapi.from_dict(loosened(describe()))
OPERATIONS = [
    one for one in (found.ok() for found in SCHEMA.get_all_operations())
    if one.path.rpartition("/")[2] not in NOT_ASKED
]  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a server over a full memory, and headers with a key to all of it."""
    folder = tmp_path_factory.mktemp("root")
    copy_to(folder)
    keys = Keys(folder)
    token = keys.create(may="govern")[1]
    server = Bare(Root(folder, options=options()), Credentials(keys), limits=Limits(waiting=64))
    with serving(server) as address:
        yield address, {"authorization": f"Bearer {token}"}
        _statuses(address, token)


def _statuses(address: str, token: str) -> None:
    """After all of it, the server answers and what it holds is whole."""
    headers = {"authorization": f"Bearer {token}"}
    answer = httpx.get(f"{address}/v1/memories/ana/verify", headers=headers, timeout=30)
    assert answer.json()["ok"], answer.text


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),  # a smaller request would not tell more, and costs minutes to find
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_no_request_fails_the_server_or_gets_what_is_not_described(
    served: tuple[str, dict[str, str]], operation: Any, data: st.DataObject
) -> None:
    address, headers = served
    modes = list(schemathesis.GenerationMode)
    mode = data.draw(st.sampled_from(modes))
    case = data.draw(operation.as_strategy(generation_mode=mode))
    if "memory" in (case.path_parameters or {}) and operation.method.upper() != "PUT":
        case.path_parameters["memory"] = "ana"
    # The engine tells this one by a bare ValueError yet.
    answer = case.call(base_url=address, headers=headers, timeout=30)
    CODES[answer.status_code] += 1
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    case.validate_response(
        answer,
        checks=[
            not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
        ],
    )


CODES: Counter[int] = Counter()


def test_requests_that_were_made_up_did_reach_the_engine() -> None:
    if not CODES:
        pytest.skip("nothing was made up")
    print(f"{sum(CODES.values())} requests: {dict(CODES)}")
    assert CODES[200] > len(OPERATIONS) / 4
    assert STREAMED.keys() >= NOT_ASKED
