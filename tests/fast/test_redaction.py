"""Secrets do not survive, ordinary text does, and JSON stays JSON."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from spanreel.errors import ConfigurationError
from spanreel.redaction import Redactor

SECRETS = {
    "openai": "sk-proj-abcDEF0123456789abcDEF01",
    "anthropic": "sk-ant-api03-AbCdEf0123456789_-AbCdEf",
    "slack": "xoxb-123456789012-abcdefABCDEF",
    "gitlab": "glpat-abcdefghij0123456789",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github fine": "github_pat_11ABCDEFG0abcdefghijkl_0123456789abcdef",
    "hugging face": "hf_abcdefghijklmnopqrstuvwxyzABCDEF",
    "groq": "gsk_abcdefghijklmnopqrstuvwxyz012345",
    "stripe": "sk_live_abcdefghijklmnop",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "google": "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "bearer": "Bearer abcDEF0123456789ghi",
    "basic": "Basic dXNlcjpwYXNzd29yZDEyMw==",
    "environment": "MYSERVICE_API_KEY=abcdef0123456789",
    "query": "https://host/v1/chat?api-version=2024-02-01&api-key=0123456789abcdef0123456789abcdef",
    "signed url": "https://host/blob?se=2026&sig=abcdEFGH1234%2Babcdefghij%3D",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow/IBAA+KCAQ=\nabcd\n-----END RSA PRIVATE KEY-----",
    "pem cut": "-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQ",
}
AROUND = [
    "{}",
    "see {} there",
    "line\n{}\nline",
    'quoted "{}"',
    "path\\{}",
    "é{}ü",
    "key:{},",
    "({})",
    "\t{}",
]


def part(secret: str) -> str:
    """A piece that only the secret has."""
    words: list[str] = re.findall(r"[A-Za-z0-9]+", secret.replace("PRIVATE", "").replace("EXAMPLE", ""))
    return max(words, key=len)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", SECRETS)
def test_secret_shapes(name: str, around: str) -> None:
    text = around.format(SECRETS[name])
    redactor = Redactor()
    clean = redactor.text(text)
    assert part(SECRETS[name]) not in clean
    assert "[REDACTED:" in clean
    start, end = around.split("{}")
    assert clean.startswith(start)
    assert clean.endswith(end) or name in {"pem cut", "environment"}  # these go as far as they can
    data = redactor.json_bytes(orjson.dumps({"a": [text]}))
    assert orjson.loads(data) == {"a": [clean]}
    assert redactor.text(clean) == clean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://user:hunter2@db/x", "postgres://user:[REDACTED]@db/x"),
        ("redis://:hunter2@db", "redis://:[REDACTED]@db"),
        ("https://example.org:8080/a@b", None),
        ("https://example.org/?key=value&monkey=0123456789abcdef0123", None),
        ("mail me@example.org: now", None),
    ],
)
def test_passwords_in_urls(text: str, expected: str | None) -> None:
    assert Redactor().text(text) == (expected or text)


@pytest.mark.parametrize(
    "text",
    [
        "a risk-management-of-everything and task-2024-01-01-abcdefgh, desk-abcdefghijklmnopqrstuv",
        "The bearer internationalization-of-responsibility. Bearer of good news, Basic understanding",
        "Basic internationalization", "skis-and-boots-are-in-the-cellar", "AKIA", "eyJ and Jeykll",
        "max_tokens=100 finish_reason_is_length_of_text", "uuid 0d4c1f9e-1c9d-4f6e-9a0d-7b7c5f6b1a2e",
        "call_abcdefghijklmnopqrstuvwx", "-----BEGIN CERTIFICATE-----", "MY_API_KEY=$OTHER_KEY_VALUE", "jack@example.org",
    ],
)  # fmt: skip
def test_ordinary_text_is_unchanged(text: str) -> None:
    data = orjson.dumps({"content": text})
    assert Redactor().text(text) is text
    assert Redactor().json_bytes(data) is data


@pytest.mark.parametrize(
    "key",
    ["api_key", "apiKey", "API-KEY", "x-api-key", "OPENAI_API_KEY", "Authorization", "proxy-authorization", "password",
     "db_password", "passwd", "client_secret", "access_token", "refresh_token", "id_token", "private_key", "Cookie",
     "set-cookie", "session_token", "aws_secret_access_key", "http.request.header.authorization", "credentials"],
)  # fmt: skip
def test_secret_fields(key: str) -> None:
    redactor = Redactor()
    assert redactor.hides(key)
    tree = {"a": [{key: "hunter2 is short", "b": 1}]}
    data = redactor.json_bytes(orjson.dumps(tree))
    assert orjson.loads(data) == {"a": [{key: "[REDACTED]", "b": 1}]}


@pytest.mark.parametrize(
    "key",
    ["token", "tokens", "max_tokens", "input_tokens", "total_tokens", "eos_token", "valid_token", "key", "keyword",
     "session_id", "secretary", "author", "authors", "tokenizer", "gen_ai.usage.input_tokens", "cookie_policy", "value",
     "first_token", "logprobs", "passwordless", "prompt_cache_key"],
)  # fmt: skip
def test_fields_that_an_llm_recorder_needs(key: str) -> None:
    assert not Redactor().hides(key)


def test_flags_and_empty_values_stay() -> None:
    data = orjson.dumps({"password": None, "secret": True, "api_key": "", "token": "x"})
    assert Redactor().json_bytes(data) is data


def test_pairs() -> None:
    tree = {
        "headers": [["x-api-key", "abc"], ["accept", "json"]],
        "env": [{"name": "DB_PASSWORD", "value": "abc"}],
    }
    assert orjson.loads(Redactor().json_bytes(orjson.dumps(tree))) == {
        "headers": [["x-api-key", "[REDACTED]"], ["accept", "json"]],
        "env": [{"name": "DB_PASSWORD", "value": "[REDACTED]"}],
    }


def test_a_schema_of_a_secret_stays_but_not_its_default() -> None:
    schema: dict[str, Any] = {"properties": {"password": {"type": "string", "description": "the password"}}}
    data = orjson.dumps(schema)
    assert Redactor().json_bytes(data) is data
    schema["properties"]["password"]["default"] = "hunter2"
    assert b"hunter2" not in Redactor().json_bytes(orjson.dumps(schema))
    assert b"hunter2" not in Redactor().json_bytes(
        b'{"credentials": {"type": "basic", "description": "hunter2"}}'
    )


@pytest.mark.parametrize(
    "inner",
    [
        '{"user": "u", "password": "hunter2"}',
        "{'password': 'hunter2', 'n': 1}",
        '{"n": 1, "password": "hunt',
        '[{"api_key":12345}]',
    ],
)
def test_json_inside_a_string(inner: str) -> None:
    """Tool arguments are JSON in JSON."""
    data = Redactor().json_bytes(orjson.dumps({"arguments": inner}))
    text = orjson.loads(data)["arguments"]
    assert "hunt" not in text
    assert "12345" not in text
    assert "[REDACTED]" in text


def test_escaped_secrets() -> None:
    for body in (rb'{"a": "\u0073k-proj-abcDEF0123456789abcDEF01"}', rb'{"a": "https:\/\/u:hunter2@h"}'):
        data = Redactor().json_bytes(body)
        assert "abcDEF" not in str(orjson.loads(data))
        assert "hunter2" not in str(orjson.loads(data))


def test_a_cut_body_loses_its_secrets_too() -> None:
    body = b'{"model": "m", "api_key": "hunter2", "pin": 1, "messages": [{"content": "my password'
    data = Redactor().json_bytes(body)
    assert data == b'{"model": "m", "api_key": "[REDACTED]", "pin": 1, "messages": [{"content": "my password'
    inner = rb'{"call": {"arguments": "{\"password\": \"hunter2\", \"n\": 1}", "more'
    assert Redactor().json_bytes(inner) == inner.replace(b"hunter2", b"[REDACTED]")
    assert Redactor().json_bytes(b'{"api_key": "hunt') == b'{"api_key": "[REDACTED]'


def test_sse_stays_valid_and_offsets_move() -> None:
    first = b'data: {"delta":"the key is sk-proj-abcDEF0123456789abcDEF01 !"}\n\n'
    second = b'data: {"password":"hunter2","delta":"more"}\n\n'
    third = b"data: [DONE]\n\n"
    clean, offsets = Redactor().sse_bytes(first + second + third, [0, len(first), len(first) + len(second)])
    events = [clean[start:end] for start, end in zip(offsets, [*offsets[1:], len(clean)], strict=True)]
    assert orjson.loads(events[0][6:])["delta"] == "the key is [REDACTED:api_key] !"
    assert orjson.loads(events[1][6:]) == {"password": "[REDACTED]", "delta": "more"}
    assert events[2] == third
    untouched = second.replace(b"password", b"passages") + third
    assert Redactor().sse_bytes(untouched, [3])[0] is untouched


def test_split_secret() -> None:
    redactor = Redactor()
    chunks = ["here: sk-proj-abc", "DEF0123456789", "abcDEF01"]
    assert not any(redactor.split_secret(chunk) for chunk in chunks)
    assert redactor.split_secret("".join(chunks))
    assert redactor.split_secret('{"password": "hunter2"}')
    assert not redactor.split_secret("nothing here")


def test_attributes() -> None:
    attributes = {
        "api_key": "x",
        "n": 1,
        "list": ["a", {"password": "y"}],
        "text": "sk-proj-abcDEF0123456789abcDEF01",
        "t": (1, 2),
    }
    assert Redactor().attributes(attributes) == {
        "api_key": "[REDACTED]", "n": 1, "list": ["a", {"password": "[REDACTED]"}], "text": "[REDACTED:api_key]", "t": (1, 2),
    }  # fmt: skip


# -- settings ---------------------------------------------------------------------------------------


def test_off() -> None:
    for setting in (False, "off", ["off"]):
        redactor = Redactor.checked(setting)
        data = orjson.dumps({"password": "hunter2", "a": SECRETS["openai"]})
        assert redactor.json_bytes(data) is data
        assert redactor.text(SECRETS["openai"]) == SECRETS["openai"]


def test_environment_form() -> None:
    redactor = Redactor.checked(r"email, field:Customer-Name, /\d{4},\d{4}/")
    tree = {"customer_name": "Ann", "text": "a.b@example.org has 1234,5678", "password": "x"}
    assert orjson.loads(redactor.json_bytes(orjson.dumps(tree))) == {
        "customer_name": "[REDACTED]", "text": "[REDACTED:email] has [REDACTED]", "password": "[REDACTED]",
    }  # fmt: skip


def test_patterns_see_the_value_not_its_json() -> None:
    redactor = Redactor.checked([r'^"quoted"\n$', "field:pin"])
    assert orjson.loads(redactor.json_bytes(orjson.dumps({"a": '"quoted"\n', "pin": 1}))) == {
        "a": "[REDACTED]",
        "pin": "[REDACTED]",
    }


def test_email_is_off_by_default() -> None:
    assert Redactor().text("a.b@example.org") == "a.b@example.org"


def test_callable() -> None:
    seen = []

    def redact(value: str, path: str) -> str | None:
        seen.append((path, value))
        return None if value == "drop" else value.upper()

    redactor = Redactor.checked(redact)
    data = redactor.json_bytes(orjson.dumps({"a": [{"b": "x"}, "drop"], "password": "never seen"}))
    assert orjson.loads(data) == {"a": [{"b": "X"}, "[REDACTED]"], "password": "[REDACTED]"}
    assert seen == [("a.0.b", "x"), ("a.1", "drop")]
    assert Redactor.checked(lambda value: value + "!").text("x") == "x!"


@pytest.mark.parametrize("failure", [ValueError, RecursionError, SystemExit, GeneratorExit])
def test_a_failing_callable_never_leaks(failure: type[BaseException]) -> None:
    def redact(value: str) -> str:
        raise failure

    data = Redactor.checked(redact).json_bytes(b'{"a": "raw value"}')
    assert orjson.loads(data) == {"a": "[REDACTED: redactor failed]"}
    assert Redactor.checked(lambda value: 5).text("raw value") == "[REDACTED: redactor failed]"


def test_keyboard_interrupt_passes() -> None:
    def redact(value: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Redactor.checked(redact).text("x")


@pytest.mark.parametrize("setting", ["emial", "/(/", ["("], 5, [1], {"a": 1}])
def test_unusable_settings(setting: object) -> None:
    with pytest.raises(ConfigurationError):
        Redactor.checked(setting)
    redactor = Redactor.from_setting(setting)
    assert redactor.json_bytes(b'{"a":"raw value"}') == b'{"a":"[REDACTED: redact setting not usable]"}'


def test_the_cache_of_names_is_bounded() -> None:
    redactor = Redactor()
    for number in range(10_000):
        redactor.hides(f"field {number}")
    redactor.hides("x" * 100_000)
    assert len(redactor.known) <= 4096
    assert all(len(key) < 200 for key in redactor.known)


def test_deep_json() -> None:
    body = b"[" * 900 + b'{"password":"hunter2"}' + b"]" * 900
    assert b"hunter2" not in Redactor().json_bytes(body)


def test_a_google_key_among_many_z() -> None:
    key = SECRETS["google"]
    for text in (
        f"{'lazy ' * 40}{key}",
        f"{key}{' lazy' * 40}",
        f"{'lazy ' * 13}{key} {'lazy ' * 40}",
        f"{'I zz ' * 40}{key}",
    ):
        assert Redactor().text(text) == text.replace(key, "[REDACTED:google_key]")


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("filler", ["well-known snake_case ", "a_b ", "x-y ", "BIG_NAME "])
def test_no_family_hides_among_joined_words(name: str, filler: str) -> None:
    for text in (filler * 60 + SECRETS[name], filler * 9 + SECRETS[name] + " " + filler * 60):
        kept = Redactor().text(text)
        assert SECRETS[name] not in kept
        assert kept.startswith(filler * 9)


def test_every_secret_name_ends_with_what_is_looked_for_in_streams() -> None:
    from spanreel.bodies import _find_stems
    from spanreel.field_names import ENDINGS, NAMES

    for name in (*ENDINGS, *NAMES):
        assert any(end >= len(name) - 1 for _, _, end in _find_stems(name.encode())), name


@pytest.mark.parametrize(
    "name", ["password", "API-Key", "x_api_key", "set-cookie", "Client Secrets", "idToken"]
)
@pytest.mark.parametrize(
    "frame", ['data: {{"{}": "hunter2-{}"}}', 'data: {{"a": "{{\\"{}\\": \\"hunter2-{}\\"}}"}}']
)
def test_secret_names_in_a_stream(name: str, frame: str) -> None:
    data = "\n\n".join(
        [frame.format("tokens", 1), frame.format(name, 2), frame.format("keyboard", 3)]
    ).encode()
    cleaned, _ = Redactor().sse_bytes(data)
    assert b"hunter2-2" not in cleaned
    assert b"hunter2-1" in cleaned
    assert b"hunter2-3" in cleaned
