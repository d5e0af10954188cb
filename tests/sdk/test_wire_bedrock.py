"""Bedrock through the real boto3: Converse and InvokeModel, plain and streamed, tools, errors, retries, threads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import botocore.exceptions
import pytest
from bedrock_server import ERRORS, USAGE, BedrockServer
from botocore.config import Config
from recording import Recording
from wire_journal import only, spans
from wire_rows import row, rows, tokens, with_and_without

import spanreel
from spanreel import recorder, wire
from spanreel.protocols import event_stream

pytestmark = [pytest.mark.sdk, pytest.mark.covers("Amazon Bedrock", package="boto3")]

SONNET = "anthropic.claude-3-5-sonnet-20241022-v2:0"
HELLO: list[Any] = [{"role": "user", "content": [{"text": "Hello"}]}]
SECRET = "planted/SecretAccessKey+0123456789abcdef"
INCLUSIVE = (21 + 2048 + 188, 34, 2048, 188, None)


@pytest.fixture
def server() -> Iterator[BedrockServer]:
    running = BedrockServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def hooks() -> None:
    wire.install()


def client_of(server: BedrockServer, **options: Any) -> Any:
    config = {"retries": {"total_max_attempts": 1, "mode": "standard"}, **options}
    return boto3.client(
        "bedrock-runtime", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="AKIAPLANTEDPLANTED00",
        aws_secret_access_key=SECRET, aws_session_token="planted-session-token", config=Config(**config),
    )  # fmt: skip


@pytest.fixture
def client(server: BedrockServer) -> Iterator[Any]:
    made = client_of(server)
    yield made
    made.close()


def without_ids(response: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in response.items() if key not in {"ResponseMetadata", "body", "stream"}
    }


def test_converse(recording: Recording, client: Any) -> None:
    """Converse: messages, parameters, stop reason; tokens with the cache inside, 1 h writes apart; the same result."""

    def call() -> dict[str, Any]:
        response = client.converse(
            modelId=SONNET,
            messages=HELLO,
            system=[{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            inferenceConfig={"maxTokens": 100, "temperature": 0.5, "topP": 0.75, "stopSequences": ["END"]},
            additionalModelRequestFields={"top_k": 20, "thinking": {"type": "enabled", "budget_tokens": 64}},
        )
        return without_ids(response)

    ours, bare = with_and_without(call)
    assert ours == bare
    llm = only(recording.store)
    assert llm.call.provider == "aws.bedrock"
    assert llm.call.request_model == SONNET
    assert llm.call.usage is not None
    assert llm.call.usage.cache_write_1h_tokens == 88
    assert llm.call.usage.raw == USAGE
    assert llm.call.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert llm.call.output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "A greeting.", "signature": "c2lnbmVk"},
                {"type": "text", "content": "You said: Hello"},
            ],
            "finish_reason": "stop",
        }
    ]
    assert {key: llm.call.parameters[f"gen_ai.request.{key}"] for key in ("max_tokens", "temperature", "top_p", "top_k", "stop_sequences")} == {
        "max_tokens": 100, "temperature": 0.5, "top_p": 0.75, "top_k": 20, "stop_sequences": ["END"],
    }  # fmt: skip
    assert llm.call.parameters["aws.bedrock.latency_ms"] == 421
    found = row(recording.store)
    assert tokens(found) == INCLUSIVE
    assert (found["name"], found["status"], found["finish_reason"]) == (f"chat {SONNET}", "ok", "stop")
    assert (found["provider"], found["request_model"]) == ("aws.bedrock", SONNET)
    assert llm.meta["request_id"] == "req-1234"


def test_converse_stream(recording: Recording, client: Any, server: BedrockServer) -> None:
    """ConverseStream: the same call as the plain one, its bytes as they came, each event's chunk with its time."""

    def call() -> list[Any]:
        response = client.converse_stream(
            modelId="amazon.slow",
            messages=HELLO,
            additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 64}},
        )
        return list(response["stream"])

    ours, bare = with_and_without(call)
    assert ours == bare
    llm = only(recording.store)
    assert llm.response == server.bodies[0]
    assert llm.call.stream
    assert [part["type"] for part in llm.call.output_messages[0]["parts"]] == ["reasoning", "text"]
    assert llm.call.output_messages[0]["parts"][0]["signature"] == "c2lnbmVk"
    assert llm.said == "You said: Hello"
    assert llm.meta["ending"] == "exhausted"
    ends = [frame.start for frame in event_stream.frames(llm.response)]
    offsets = [offset for offset, _ in llm.meta["chunks"]]
    assert len(offsets) > 5
    assert set(offsets) <= set(ends)
    found = row(recording.store)
    assert tokens(found) == INCLUSIVE
    assert llm.raw.first_ns is not None
    assert llm.call.first_visible_ns is not None
    assert llm.raw.start_ns < llm.raw.first_ns < llm.call.first_visible_ns
    assert found["ttft_ms"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_tools_over_turns(recording: Recording, client: Any, stream: bool) -> None:
    """Tools over two turns: definitions, two calls asked for at once with their arguments, the result, the answer."""
    tool = {"toolSpec": {"name": "weather", "description": "Of a city.",
                         "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}}}  # fmt: skip
    config = {"tools": [tool], "toolChoice": {"auto": {}}}
    messages = [*HELLO]

    def turn() -> dict[str, Any]:
        if not stream:
            message: dict[str, Any] = client.converse(modelId=SONNET, messages=messages, toolConfig=config)[
                "output"
            ]["message"]
            return message
        built: dict[int, dict[str, Any]] = {}
        for event in client.converse_stream(modelId=SONNET, messages=messages, toolConfig=config)["stream"]:
            if "contentBlockStart" in event:
                start = event["contentBlockStart"]
                built[start["contentBlockIndex"]] = {"toolUse": {**start["start"]["toolUse"], "input": ""}}
            elif "contentBlockDelta" in event:
                delta = event["contentBlockDelta"]
                block = built.setdefault(delta["contentBlockIndex"], {"text": ""})
                if "text" in delta["delta"]:
                    block["text"] += delta["delta"]["text"]
                else:
                    block["toolUse"]["input"] += delta["delta"]["toolUse"]["input"]
        for block in built.values():
            if "toolUse" in block:
                block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
        return {"role": "assistant", "content": [built[index] for index in sorted(built)]}

    with spanreel.span("root"):
        messages.append(turn())
        result = {"toolUseId": "tooluse_0", "status": "success", "content": [{"json": {"degrees": 21}}]}
        messages.append({"role": "user", "content": [{"toolResult": result}]})
        answer = turn()
    assert answer["content"][0]["text"] == "It is 21 degrees."
    asked, answered = spans(recording.store, "llm")
    assert asked.call.finish_reasons == ("tool_call",)
    assert asked.call.output_messages[0]["parts"] == [
        {"type": "text", "content": "Let me look."},
        {"type": "tool_call", "id": "tooluse_0", "name": "weather", "arguments": {"city": "Rome", "days": 0}},
        {"type": "tool_call", "id": "tooluse_1", "name": "weather", "arguments": {"city": "Oslo", "days": 1}},
    ]
    assert asked.call.tool_definitions == (
        {"type": "function", "name": "weather", "description": "Of a city.",
         "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    )  # fmt: skip
    assert answered.call.input_messages[-1]["parts"] == [
        {"type": "tool_call_response", "id": "tooluse_0", "response": {"degrees": 21}}
    ]
    assert answered.said == "It is 21 degrees."
    assert [tokens(found) for found in rows(recording.store)] == [INCLUSIVE] * 2


def test_a_guardrail_a_limit_and_structured_output(recording: Recording, client: Any) -> None:
    """A guardrail that steps in is a content filter, with what it says; a JSON schema is told."""
    schema = {"schema": '{"type":"object"}', "name": "answer"}
    with spanreel.span("root"):
        client.converse(
            modelId=SONNET, messages=HELLO,
            guardrailConfig={"guardrailIdentifier": "g1", "guardrailVersion": "1", "trace": "enabled"},
        )  # fmt: skip
        client.converse(
            modelId="amazon.tight", messages=HELLO,
            outputConfig={"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}},
        )  # fmt: skip
    guarded, limited = spans(recording.store, "llm")
    assert guarded.call.finish_reasons == ("content_filter",)
    assert guarded.call.parameters["aws.bedrock.guardrail.id"] == "g1"
    assert guarded.call.parameters["aws.bedrock.guardrail.action"] == "Guardrail blocked."
    assert limited.call.finish_reasons == ("length",)
    assert limited.call.parameters["gen_ai.output.type"] == "json"


def test_media_and_documents(recording: Recording, client: Any) -> None:
    """Images, documents and S3 places in a message are parts with their type."""
    content = [
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}},
        {"document": {"format": "pdf", "name": "report", "source": {"s3Location": {"uri": "s3://b/k"}}}},
        {"document": {"format": "txt", "name": "note", "source": {"text": "words"}}},
        {"text": "What is this?"},
    ]
    with spanreel.span("root"):
        client.converse(modelId=SONNET, messages=[{"role": "user", "content": content}])
    assert only(recording.store).call.input_messages[0]["parts"] == [
        {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "iVBORw=="},
        {
            "type": "uri",
            "mime_type": "application/pdf",
            "name": "report",
            "modality": "document",
            "uri": "s3://b/k",
        },
        {"type": "document", "mime_type": "application/txt", "name": "note", "content": "words"},
        {"type": "text", "content": "What is this?"},
    ]


@pytest.mark.parametrize("name", ERRORS)
def test_errors(recording: Recording, client: Any, name: str) -> None:
    """4xx and 5xx: the status, the service's message and its exception's name, raised as botocore raises them."""
    status, kind, message = ERRORS[name]
    with spanreel.span("root"), pytest.raises(botocore.exceptions.ClientError) as raised:
        client.converse(modelId=f"amazon.{name}", messages=HELLO)
    assert raised.value.response["Error"]["Code"] == kind
    found = row(recording.store)
    assert (found["status"], found["error_type"]) == ("error", str(status))
    assert found["error_message"] == f"{message} [{kind}]"


@pytest.mark.parametrize(("mode", "scope"), [("legacy", "trace"), ("standard", "all"), ("adaptive", "trace")])
def test_throttling_and_botocores_own_retries(
    recording: Recording, server: BedrockServer, mode: str, scope: str
) -> None:
    """429 twice, then the answer: three attempts, told by botocore's header, one call; also outside of any trace."""
    throttled = client_of(server, retries={"total_max_attempts": 3, "mode": mode})
    if scope == "all":
        recorder.widen("all")
        throttled.converse(modelId="amazon.throttled", messages=HELLO)
    else:
        with spanreel.span("root"):
            throttled.converse(modelId="amazon.throttled", messages=HELLO)
    throttled.close()
    found = rows(recording.store)
    assert [item["error_type"] for item in found] == ["429", "429", None]
    assert [item["attempts"] for item in found] == [1, 2, 3]
    ids = [item["span_id"] for item in found]
    assert [item["duplicate_of"] for item in found] == [ids[1], ids[2], None]
    assert len({item["trace_id"] for item in found}) == 1
    last = found[-1]["attributes"]
    assert last["spanreel.retry_count"] == 2
    assert last["spanreel.retry_wait_ms"] > 0
    assert "spanreel.retry_inferred" not in last


def test_a_stream_that_is_cut_fails_or_is_left(
    recording: Recording, client: Any, server: BedrockServer
) -> None:
    """A stream cut by the network, one that stops inside a frame, an exception event, and one left early."""
    with spanreel.span("root"):
        for model in ("amazon.cut", "amazon.short", "amazon.overloaded"):
            stream = client.converse_stream(modelId=model, messages=HELLO)["stream"]
            try:
                list(stream)
            except Exception as error:
                assert model != "amazon.short", error  # noqa: PT017 - botocore takes it for the end
            stream.close()
        stream = client.converse_stream(modelId="amazon.slow", messages=HELLO)["stream"]
        next(iter(stream))
        stream.close()
    cut, short, overloaded, left = spans(recording.store, "llm")
    assert cut.raw.status == "error"
    assert cut.call.finish_reasons == ("error",)
    assert "You said: Hello".startswith(cut.said)
    assert cut.said
    assert (short.raw.error_type, short.call.error_type) == ("stream_cut", "stream_cut")
    assert short.said == "You said: Hello"
    assert (overloaded.raw.error_type, overloaded.raw.error_message) == (
        "throttlingException",
        "Too many tokens.",
    )
    assert overloaded.call.error_type == "throttlingException"
    assert overloaded.said == "You said"
    assert (left.raw.status, left.meta["ending"]) == ("ok", "closed")
    assert left.call.error_type is None


def test_calls_side_by_side_in_threads(recording: Recording, client: Any) -> None:
    """Parallel calls of one client in threads keep their own bytes and parents."""

    @spanreel.trace
    def work(number: int) -> str:
        messages = [{"role": "user", "content": [{"text": f"number {number}"}]}]
        if number % 2:
            events = client.converse_stream(modelId="amazon.slow", messages=messages)["stream"]
            return "".join(
                event["contentBlockDelta"]["delta"]["text"]
                for event in events
                if "contentBlockDelta" in event
            )
        answer = client.converse(modelId=SONNET, messages=messages)
        said: str = answer["output"]["message"]["content"][0]["text"]
        return said

    with spanreel.span("root"), ThreadPoolExecutor(8) as pool:
        said = list(pool.map(work, range(8)))
    assert said == [f"You said: number {number}" for number in range(8)]
    parents = {span.raw.span_id: span.raw.output for span in spans(recording.store, "chain")}
    calls = spans(recording.store, "llm")
    assert len(calls) == 8
    for call in calls:
        assert parents[call.raw.parent_id or ""] == json.dumps(call.said)


def test_timeouts_and_connection_errors(recording: Recording) -> None:
    """A connection that cannot be made is an error of the call, as botocore raises it."""
    gone = boto3.client(
        "bedrock-runtime", endpoint_url="http://127.0.0.1:9", region_name="us-east-1", aws_access_key_id="a",
        aws_secret_access_key="b", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    with spanreel.span("root"), pytest.raises(botocore.exceptions.EndpointConnectionError):
        gone.converse(modelId=SONNET, messages=HELLO)
    gone.close()
    assert only(recording.store).raw.error_type == "botocore.exceptions.EndpointConnectionError"


def invoke(client: Any, model: str, body: dict[str, Any], *, stream: bool = False) -> Any:
    data = json.dumps(body)
    if stream:
        response = client.invoke_model_with_response_stream(modelId=model, body=data)
        return [json.loads(event["chunk"]["bytes"]) for event in response["body"]]
    return json.loads(client.invoke_model(modelId=model, body=data)["body"].read())


CLAUDE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}
COHERE = {"message": "Hi", "chat_history": [], "max_tokens": 20}
VENDORS: dict[str, tuple[str, dict[str, Any], str, tuple[int, int], str]] = {
    "anthropic": ("anthropic.claude-sonnet-4-5-20250929-v1:0", CLAUDE, "Hello from Claude.", (2257, 34), "stop"),
    "llama": ("meta.llama3-1-8b-instruct-v1:0", {"prompt": "Hi", "max_gen_len": 9, "temperature": 0.5}, "Hello from Llama.", (9, 6), "length"),
    "titan": ("amazon.titan-text-express-v1", {"inputText": "Hi", "textGenerationConfig": {"maxTokenCount": 9, "topP": 0.5}}, "Hello from Titan.", (4, 6), "stop"),
    "nova": ("us.amazon.nova-lite-v1:0", {"messages": HELLO, "inferenceConfig": {"maxTokens": 9}}, "You said: Hello", (2257, 34), "stop"),
    "mistral": ("mistral.mistral-7b-instruct-v0:2", {"prompt": "Hi", "max_tokens": 9}, "Hello from Mistral.", (7, 5), "length"),
    "mistral chat": ("mistral.mistral-large-2407-v1:0", {"messages": [{"role": "user", "content": "Hi"}]}, "Hello from Mistral.", (7, 5), "stop"),
    "gpt-oss": ("openai.gpt-oss-20b-1:0", {"messages": [{"role": "user", "content": "Hi"}]}, "Hello from gpt-oss.", (70, 30), "stop"),
    "cohere": ("cohere.command-r-v1:0", COHERE, "Hello from Cohere.", (7, 5), "stop"),
}  # fmt: skip
STREAMED = ("anthropic", "llama", "titan", "nova", "mistral", "cohere")


@pytest.mark.parametrize("vendor", VENDORS)
def test_invoke_model(recording: Recording, client: Any, server: BedrockServer, vendor: str) -> None:
    """InvokeModel, each vendor's body: text, finish reason, tokens from the body or the service's headers."""
    model, body, said, counted, reason = VENDORS[vendor]
    model = model.removeprefix("us.")
    ours, bare = with_and_without(lambda: invoke(client, model, body))
    assert ours == bare
    llm = only(recording.store)
    assert (llm.said, llm.call.finish_reasons) == (said, (reason,))
    assert (llm.call.provider, llm.call.request_model) == ("aws.bedrock", model)
    assert llm.call.input_messages[-1]["parts"][0]["content"] in {"Hi", "Hello"}
    assert llm.response == server.bodies[0]
    found = row(recording.store)
    assert (found["input_tokens"], found["output_tokens"], found["status"]) == (*counted, "ok")


@pytest.mark.parametrize("vendor", STREAMED)
def test_invoke_model_streamed(recording: Recording, client: Any, vendor: str) -> None:
    """InvokeModelWithResponseStream: the same text and tokens put together from the vendor's chunks."""
    model, body, said, counted, _ = VENDORS[vendor]
    model = model.removeprefix("us.")
    ours, bare = with_and_without(lambda: invoke(client, model, body, stream=True))
    assert ours == bare
    llm = only(recording.store)
    assert (llm.said, llm.call.finish_reasons, llm.call.stream) == (said, ("stop",), True)
    assert llm.raw.first_ns is not None
    found = row(recording.store)
    assert (found["input_tokens"], found["output_tokens"], found["status"]) == (*counted, "ok")


@pytest.mark.parametrize("vendor", [vendor for vendor in STREAMED if vendor != "nova"])
def test_invoke_model_streams_that_are_cut(recording: Recording, client: Any, vendor: str) -> None:
    """A vendor's stream that stops short is told as cut."""
    model, body, said, _, _ = VENDORS[vendor]
    family = "amazon" if vendor == "titan" else model.removeprefix("us.").partition(".")[0]
    with spanreel.span("root"), pytest.raises(Exception, match=r"."):
        invoke(client, f"{family}.cut", body, stream=True)
    llm = only(recording.store)
    assert llm.raw.status == "error"
    assert llm.call.finish_reasons == ("error",)
    assert said.startswith(llm.said)


def test_embeddings_and_a_rerank(recording: Recording, client: Any) -> None:
    """Titan's and Cohere's embeddings: inputs, count, dimension, tokens; a rerank's documents in their order."""
    with spanreel.span("root"):
        invoke(
            client, "amazon.titan-embed-text-v2:0", {"inputText": "one", "dimensions": 4, "normalize": True}
        )
        invoke(client, "cohere.embed-english-v3", {"texts": ["one", "two"], "input_type": "search_query"})
        invoke(client, "cohere.rerank-v3-5:0", {"query": "q", "documents": ["a", "b"], "api_version": 2})
    titan, cohere = spans(recording.store, "embedding")
    assert titan.call.output_messages[0]["parts"] == [{"type": "embedding", "count": 1, "dimension": 4}]
    assert titan.call.input_messages[0]["parts"] == [{"type": "text", "content": "one"}]
    assert cohere.call.output_messages[0]["parts"] == [{"type": "embedding", "count": 2, "dimension": 4}]
    assert cohere.call.parameters["spanreel.request.input_type"] == "search_query"
    assert [found["input_tokens"] for found in rows(recording.store, "embedding")] == [3, 7]
    rerank = only(recording.store, "rerank")
    assert [(item["content"], item["score"]) for item in rerank.call.documents] == [("b", 0.9), ("a", 0.2)]
    assert rerank.call.query == "q"


def test_an_arn_in_the_path_is_the_model(recording: Recording, client: Any) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
    with spanreel.span("root"):
        client.converse(modelId=arn, messages=HELLO)
    assert only(recording.store).call.request_model == arn


@pytest.mark.parametrize("stream", [False, True])
def test_no_credential_is_recorded(
    recording: Recording, client: Any, server: BedrockServer, stream: bool
) -> None:
    """Signature, session token, cookies and a key that the model repeats in pieces are nowhere in the journal."""
    key = "sk-proj-planted0123456789abcdefghijklmnopqrstuvwxyzABCDEF"
    messages = [{"role": "user", "content": [{"text": f"My key is {key}, keep it."}]}]
    with spanreel.span("root"):
        if stream:
            list(client.converse_stream(modelId=SONNET, messages=messages)["stream"])
        else:
            client.converse(modelId=SONNET, messages=messages)
    sent = server.requests[0]["headers"]
    assert "Authorization" in sent
    recorded = recording.raw()
    for planted in (
        sent["Authorization"],
        "planted-session-token",
        SECRET,
        "planted-cookie",
        key,
        "AKIAPLANTED",
    ):
        assert planted.encode() not in recorded
    llm = only(recording.store)
    assert llm.said.startswith("You said: My key is [REDACTED")
    assert llm.said.endswith(", keep it.")
    if stream:
        assert list(event_stream.frames(llm.response))[-1].end == len(llm.response)
        offsets = [offset for offset, _ in llm.meta["chunks"]]
        assert offsets == sorted(offsets)
        assert offsets[-1] <= len(llm.response)


@pytest.mark.parametrize("capture", ["metadata", "none"])
@pytest.mark.parametrize("stream", [False, True])
def test_without_bodies_usage_and_model_survive(
    recording: Recording, client: Any, capture: str, stream: bool
) -> None:
    recording.configure(capture=capture)
    messages = [{"role": "user", "content": [{"text": "planted words"}]}]
    with spanreel.span("root"):
        if stream:
            list(client.converse_stream(modelId=SONNET, messages=messages)["stream"])
        else:
            client.converse(modelId=SONNET, messages=messages)
    assert b"planted" not in recording.raw()
    found = row(recording.store)
    assert (found["request_model"], found["finish_reason"], *tokens(found)) == (SONNET, "stop", *INCLUSIVE)


def test_another_service_is_left_alone(recording: Recording, server: BedrockServer) -> None:
    """A POST of another AWS service is none of ours."""
    other = boto3.client(
        "sts", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    with spanreel.span("root"), pytest.raises(Exception, match=r"."):
        other.get_caller_identity()
    other.close()
    assert spans(recording.store, "llm") == []


@pytest.mark.parametrize("stream", [False, True])
def test_with_the_hook_on_botocore_alone(
    recording: Recording, client: Any, server: BedrockServer, stream: bool
) -> None:
    """The hook on botocore does its work without the one on urllib3."""
    wire.uninstall()
    wire.install(["botocore"])
    try:
        with spanreel.span("root"):
            if stream:
                list(client.converse_stream(modelId=SONNET, messages=HELLO)["stream"])
            else:
                client.converse(modelId=SONNET, messages=HELLO)
    finally:
        wire.uninstall()
        wire.install()
    llm = only(recording.store)
    assert (llm.said, llm.raw.status, llm.meta["ending"]) == ("You said: Hello", "ok", "exhausted")
    assert llm.response == server.bodies[0]


def test_install_is_reversible() -> None:
    from botocore.httpsession import URLLib3Session

    wire.uninstall()
    plain = URLLib3Session.__dict__["send"]
    wire.install()
    assert URLLib3Session.__dict__["send"].__wrapped__ is plain
    wire.uninstall()
    assert URLLib3Session.__dict__["send"] is plain
    wire.install()
