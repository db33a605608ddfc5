"""The MCP server for the conformance suite of the protocol: see `scripts/mcp_conformance.sh`.

    python tests/mcp/conformance_server.py PORT [--bare]

The suite asks for tools, resources and prompts that do nothing but show a feature of the protocol.
They are added here to the very server that users get, which answers for all else. With --bare
nothing is added, and it is mounted as `holdfast.mcp.http.mount` does.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import uvicorn
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from starlette.applications import Starlette
from starlette.routing import Route

from holdfast import Memory
from holdfast.mcp.http import mount
from holdfast.mcp.server import build
from holdfast.service.call import Service
from holdfast.service.callers import Caller
from holdfast.service.root import OneFile

Context = ServerRequestContext[Any, Any]
Call = t.CallToolRequestParams
Answer = t.CallToolResult | t.InputRequiredResult
NAME = "memory"
CALLER = Caller("conformance", "govern", (NAME,))

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJg"
    "gg=="
)
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="

TOOLS: dict[str, tuple[dict[str, Any], Callable[[Context, Call], Awaitable[Answer]]]] = {}


def tool(name: str, **arguments: str) -> Callable[[Any], Any]:
    """Register a tool with required arguments of these types."""
    schema: dict[str, Any] = {"type": "object"}
    if arguments:
        properties = {one: {"type": kind} for one, kind in arguments.items()}
        schema |= {"properties": properties, "required": list(arguments)}

    def register(function: Any) -> Any:
        TOOLS[name] = (schema, function)
        return function

    return register


def text(words: str, *, error: bool = False) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(text=words)], is_error=error)


def still(*content: t.ContentBlock) -> Callable[[Context, Call], Awaitable[Answer]]:
    """A tool that always answers the same."""

    async def answer(ctx: Context, call: Call) -> Answer:
        return t.CallToolResult(content=list(content))

    return answer


def embedded(uri: str, mime_type: str, words: str) -> t.EmbeddedResource:
    return t.EmbeddedResource(
        resource=t.TextResourceContents(uri=uri, mime_type=mime_type, text=words)
    )


IMAGE = t.ImageContent(data=PNG, mime_type="image/png")
tool("test_simple_text")(still(t.TextContent(text="This is a simple text response for testing.")))
tool("test_image_content")(still(IMAGE))
tool("test_audio_content")(still(t.AudioContent(data=WAV, mime_type="audio/wav")))
tool("test_embedded_resource")(
    still(
        embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    )
)
tool("test_multiple_content_types")(
    still(
        t.TextContent(text="Multiple content types test:"),
        IMAGE,
        embedded(
            "test://mixed-content-resource", "application/json", '{"test":"data","value":123}'
        ),
    )
)


@tool("test_error_handling")
async def fail(ctx: Context, call: Call) -> Answer:
    return text("This tool intentionally returns an error for testing", error=True)


@tool("test_tool_with_logging")
@tool("test_logging_tool")
async def log(ctx: Context, call: Call) -> Answer:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)
        await anyio.sleep(0.05)
    return text("logged")


@tool("test_tool_with_progress")
async def progress(ctx: Context, call: Call) -> Answer:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100)
        await anyio.sleep(0.05)
    return text("done")


# ---- what the handshake era asks of a client in the middle of a call ------------------------


@tool("test_sampling", prompt="string")
async def sample(ctx: Context, call: Call) -> Answer:
    words = t.TextContent(text=(call.arguments or {})["prompt"])
    message = t.SamplingMessage(role="user", content=words)
    found = await ctx.session.create_message(
        [message], max_tokens=100, related_request_id=ctx.request_id
    )
    return text(f"LLM response: {getattr(found.content, 'text', '')}")


async def elicit(ctx: Context, message: str, schema: dict[str, Any]) -> t.ElicitResult:
    return await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)


def form(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": []}


@tool("test_elicitation", message="string")
async def ask_user(ctx: Context, call: Call) -> Answer:
    schema = form(
        username={"type": "string", "description": "User's response"},
        email={"type": "string", "description": "User's email address"},
    ) | {"required": ["username", "email"]}
    found = await elicit(ctx, (call.arguments or {})["message"], schema)
    return text(f"User response: action={found.action}, content={found.content}")


@tool("test_elicitation_sep1034_defaults")
async def ask_with_defaults(ctx: Context, call: Call) -> Answer:
    schema = form(
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    found = await elicit(ctx, "Who are you?", schema)
    return text(f"Elicitation completed: action={found.action}, content={found.content}")


def titled(prefix: str, word: str) -> list[dict[str, str]]:
    ordinals = ("First", "Second", "Third")
    return [{"const": f"{prefix}{n}", "title": f"{o} {word}"} for n, o in enumerate(ordinals, 1)]


@tool("test_elicitation_sep1330_enums")
async def ask_to_choose(ctx: Context, call: Call) -> Answer:
    options = ["option1", "option2", "option3"]
    schema = form(
        untitledSingle={"type": "string", "enum": options},
        titledSingle={"type": "string", "oneOf": titled("value", "Option")},
        legacyEnum={
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        untitledMulti={"type": "array", "items": {"type": "string", "enum": options}},
        titledMulti={"type": "array", "items": {"anyOf": titled("value", "Choice")}},
    )
    found = await elicit(ctx, "Which ones?", schema)
    return text(f"Elicitation completed: action={found.action}, content={found.content}")


# ---- what 2026-07-28 asks for by an interim result ------------------------------------------


def wants(message: str, field: str, kind: str = "string") -> t.ElicitRequest:
    schema = form(**{field: {"type": kind}}) | {"required": [field]}
    return t.ElicitRequest(
        params=t.ElicitRequestFormParams(message=message, requested_schema=schema)
    )


def wants_model(words: str, max_tokens: int = 100) -> t.CreateMessageRequest:
    message = t.SamplingMessage(role="user", content=t.TextContent(text=words))
    return t.CreateMessageRequest(
        params=t.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def needs(name: str, state: str | None = None, **requests: Any) -> None:
    """Register a tool that asks for these, and answers once it has all of them."""

    @tool(name)
    async def answer(ctx: Context, call: Call) -> Answer:
        given = call.input_responses or {}
        if set(requests) <= set(given) and call.request_state == state:
            told = "; ".join(f"{one}: {given[one].model_dump_json()}" for one in requests)
            return text(f"{told}; {state or ''}")
        return t.InputRequiredResult(input_requests=requests, request_state=state)


NAMED = wants("What is your name?", "name")
ROOTS = t.ListRootsRequest()
needs("test_input_required_result_elicitation", user_name=NAMED)
needs("test_streaming_elicitation", user_name=NAMED)
needs("test_input_required_result_list_roots", client_roots=ROOTS)
needs(
    "test_input_required_result_sampling",
    capital_question=wants_model("What is the capital of France?"),
)
for name in ("request_state", "tampered_state"):
    needs(
        f"test_input_required_result_{name}",
        state="state-ok",
        confirm=wants("Please confirm", "ok", "boolean"),
    )
needs(
    "test_input_required_result_multiple_inputs",
    state="all",
    user_name=NAMED,
    greeting=wants_model("Generate a greeting", 50),
    client_roots=ROOTS,
)


@tool("test_input_required_result_multi_round")
async def rounds(ctx: Context, call: Call) -> Answer:
    given = call.input_responses or {}
    if call.request_state == "two" and "step2" in given:
        return text("done")
    if call.request_state == "one" and "step1" in given:
        color = wants("Step 2: What is your favorite color?", "color")
        return t.InputRequiredResult(input_requests={"step2": color}, request_state="two")
    first = wants("Step 1: What is your name?", "name")
    return t.InputRequiredResult(input_requests={"step1": first}, request_state="one")


@tool("test_input_required_result_capabilities")
async def only_what_is_declared(ctx: Context, call: Call) -> Answer:
    has = ctx.session.client_capabilities or t.ClientCapabilities()
    requests: dict[str, Any] = {}
    if has.elicitation is not None:
        requests["user_name"] = NAMED
    if has.sampling is not None:
        requests["greeting"] = wants_model("Generate a greeting")
    return t.InputRequiredResult(input_requests=requests)


@tool("test_missing_capability")
async def needs_sampling(ctx: Context, call: Call) -> Answer:
    has = ctx.session.client_capabilities
    if has is None or has.sampling is None:
        raise MCPError(
            t.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "this needs sampling",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return text("sampled")


# ---- resources and prompts ------------------------------------------------------------------

RESOURCES: dict[str, t.TextResourceContents | t.BlobResourceContents] = {
    one.uri: one
    for one in (
        t.TextResourceContents(
            uri="test://static-text",
            mime_type="text/plain",
            text="This is the content of the static text resource.",
        ),
        t.BlobResourceContents(uri="test://static-binary", mime_type="image/png", blob=PNG),
        t.TextResourceContents(uri="test://watched-resource", mime_type="text/plain", text="."),
        t.TextResourceContents(
            uri="test://template/123/data",
            mime_type="application/json",
            text='{"id":"123","templateTest":true,"data":"Data for ID: 123"}',
        ),
    )
}
TEMPLATE = t.ResourceTemplate(
    uri_template="test://template/{id}/data", name="template", description="A template."
)


def said(*content: t.ContentBlock) -> t.GetPromptResult:
    return t.GetPromptResult(messages=[t.PromptMessage(role="user", content=c) for c in content])


def prompt(name: str, arguments: dict[str, str]) -> t.GetPromptResult | t.InputRequiredResult:
    """A fixture's prompt."""
    if name == "test_prompt_with_arguments":
        both = f"arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"
        return said(t.TextContent(text=f"Prompt with arguments: {both}"))
    if name == "test_prompt_with_embedded_resource":
        uri = arguments["resourceUri"]
        return said(
            embedded(uri, "text/plain", "Embedded resource content for testing."),
            t.TextContent(text="Please process the embedded resource above."),
        )
    if name == "test_prompt_with_image":
        return said(IMAGE, t.TextContent(text="Please analyze the image above."))
    return said(t.TextContent(text="This is a simple prompt for testing."))


PROMPTS = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}


# ---- the server -----------------------------------------------------------------------------


def add_fixtures(server: Server[Any]) -> None:
    """Put the fixtures beside what the server has; what is not theirs it answers as ever."""

    def beside(method: str, kind: Any, mine: Callable[[Context, Any, Any], Awaitable[Any]]) -> None:
        entry = server.get_request_handler(method)

        async def handler(ctx: Context, params: Any) -> Any:
            return await mine(ctx, params, entry.handler if entry else None)

        server.add_request_handler(method, kind, handler)

    async def tools(ctx: Context, params: Any, theirs: Any) -> t.ListToolsResult:
        found = await theirs(ctx, params)
        for name, (schema, _) in TOOLS.items():
            found.tools.append(t.Tool(name=name, description=name, input_schema=schema))
        return found

    async def call(ctx: Context, params: Call, theirs: Any) -> Answer:
        return await (TOOLS[params.name][1] if params.name in TOOLS else theirs)(ctx, params)

    async def resources(ctx: Context, params: Any, theirs: Any) -> t.ListResourcesResult:
        found = await theirs(ctx, params)
        for uri in RESOURCES:
            found.resources.append(t.Resource(uri=uri, name=uri, description=uri))
        return found

    async def templates(ctx: Context, params: Any, theirs: Any) -> t.ListResourceTemplatesResult:
        found = await theirs(ctx, params)
        found.resource_templates.append(TEMPLATE)
        return found

    async def read(ctx: Context, params: t.ReadResourceRequestParams, theirs: Any) -> Any:
        if params.uri not in RESOURCES:
            return await theirs(ctx, params)
        return t.ReadResourceResult(contents=[RESOURCES[params.uri]])

    async def prompts(ctx: Context, params: Any, theirs: Any) -> t.ListPromptsResult:
        found = await theirs(ctx, params)
        for name, names in PROMPTS.items():
            arguments = [t.PromptArgument(name=one, required=True) for one in names]
            found.prompts.append(t.Prompt(name=name, description=name, arguments=arguments))
        return found

    async def get(ctx: Context, params: t.GetPromptRequestParams, theirs: Any) -> Any:
        if params.name not in PROMPTS:
            return await theirs(ctx, params)
        asks = params.name == "test_input_required_result_prompt"
        if asks and "user_context" not in (params.input_responses or {}):
            wanted = wants("What context should the prompt use?", "context")
            return t.InputRequiredResult(input_requests={"user_context": wanted})
        return prompt(params.name, params.arguments or {})

    async def empty(ctx: Context, params: Any, theirs: Any) -> t.EmptyResult:
        return t.EmptyResult()

    async def complete(ctx: Context, params: Any, theirs: Any) -> t.CompleteResult:
        return t.CompleteResult(completion=t.Completion(values=["paris", "park"], total=2))

    page = t.PaginatedRequestParams
    beside("tools/list", page, tools)
    beside("tools/call", Call, call)
    beside("resources/list", page, resources)
    beside("resources/templates/list", page, templates)
    beside("resources/read", t.ReadResourceRequestParams, read)
    beside("resources/subscribe", t.SubscribeRequestParams, empty)
    beside("resources/unsubscribe", t.UnsubscribeRequestParams, empty)
    beside("prompts/list", page, prompts)
    beside("prompts/get", t.GetPromptRequestParams, get)
    beside("logging/setLevel", t.SetLevelRequestParams, empty)
    beside("completion/complete", t.CompleteRequestParams, complete)
    sealed = RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="fixtures")
    server.middleware.append(sealed)


class As:
    """The one caller there is, for an application that wants to know who calls."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["caller"] = CALLER
        await self.app(scope, receive, send)


def main(port: int, bare: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory.open(Path(folder) / "a.holdfast", "4 MiB")
        service = Service(OneFile(memory, NAME))
        if bare:
            app, lifespan = mount(service)
            whole: Any = As(
                Starlette(
                    routes=[Route("/mcp", app, methods=["POST"])], lifespan=lambda _: lifespan
                )
            )
        else:
            server = build(service, lambda request: (CALLER, NAME))
            add_fixtures(server)
            whole = server.streamable_http_app()
        uvicorn.run(whole, host="127.0.0.1", port=port, log_level="warning")
        service.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), "--bare" in sys.argv)
