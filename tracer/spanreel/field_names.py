"""Which field names are secret, whatever their case and separators, and what under them is to be hidden."""

from __future__ import annotations

import re
from typing import Any

REDACTED = "[REDACTED]"

PLAIN, SENSITIVE, LOOK = 0, 1, 2
"""What a field name says: nothing; its value goes; its neighbour `name` decides (or the name is odd)."""

ENDINGS = (
    "apikey", "apikeys", "apisecret", "apitoken", "accesskey", "accountkey", "authkey", "encryptionkey",
    "masterkey", "privatekey", "privkey", "secretkey", "signingkey", "subscriptionkey",
    "accesstoken", "authtoken", "bearertoken", "csrftoken", "refreshtoken", "securitytoken", "sessiontoken",
    "authorization", "connectionstring", "credential", "credentials",
    "passphrase", "passwd", "password", "passwords", "secret", "secrets",
)  # fmt: skip
"""Field names that END so (lower case, separators dropped) are secret: `OPENAI_API_KEY`, `x-api-key`.

`token` and `tokens` are not here: `max_tokens`, `input_tokens` and logprobs' `token` are what an LLM
recorder is for; nor `key` and `session_id`. Tokens are found by their shape instead.
"""

NAMES = frozenset({
    "auth", "awsaccesskeyid", "basicauth", "cookie", "cookies", "discordtoken", "ghtoken", "githubtoken",
    "gitlabtoken", "hftoken", "httpauth", "huggingfacetoken", "idtoken", "jwt", "npmtoken", "passcode",
    "proxyauth", "pwd", "pypitoken", "sessioncookie", "setcookie", "slacktoken", "telegramtoken",
    "xfunctionskey", "xsrftoken",
})  # fmt: skip
"""Field names that ARE so, since as an ending they would take too much (`valid_token`, `fortune_cookie`)."""

_SEPARATORS = re.compile(r"[^a-z0-9]+")
_SCHEMA_WORDS = frozenset({
    "type", "title", "description", "default", "examples", "example", "enum", "const", "format", "pattern",
    "minLength", "maxLength", "minimum", "maximum", "items", "properties", "required", "anyOf", "oneOf", "allOf",
    "$ref", "nullable", "deprecated", "readOnly", "writeOnly", "additionalProperties", "minItems", "maxItems",
})  # fmt: skip
_SCHEMA_TYPES = frozenset({"string", "object", "array", "number", "integer", "boolean", "null"})
_SCHEMA_VALUES = frozenset({"default", "examples", "example", "enum", "const"})

TRUTHS = frozenset({"true", "false", "null", "none", "True", "False", "None"})
"""Bare words that hide nothing."""


def normal(name: str) -> str:
    """Return a name in lower case without separators."""
    return _SEPARATORS.sub("", name.lower())


def is_secret(name: str) -> bool:
    """Tell whether a name is one of ours; of a dotted name also whether its last part is."""
    if "[REDACTED" in name:  # our own mark, which may say what it hides
        return False
    return normal(name).endswith(ENDINGS) or normal(name.rpartition(".")[2]) in NAMES


def hideable(value: object) -> bool:
    """Whether there is something to hide: a flag, None, an empty or an already hidden text is none."""
    if value is None or value is True or value is False:
        return False
    return not (type(value) is str and (not value or value.startswith("[REDACTED")))


def is_schema(value: object) -> bool:
    """Whether a value is a JSON schema: a tool may HAVE a parameter `password` without showing one."""
    if type(value) is not dict or not value or not _SCHEMA_WORDS.issuperset(value):
        return False
    kind = value.get("type")
    if isinstance(kind, list):
        return all(isinstance(item, str) and item in _SCHEMA_TYPES for item in kind)
    if kind is None:
        return any(word in value for word in ("anyOf", "oneOf", "allOf", "$ref"))
    return isinstance(kind, str) and kind in _SCHEMA_TYPES


def without_values(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of a secret parameter, without the values that it may give as default or example."""
    if not any(hideable(schema.get(word)) for word in _SCHEMA_VALUES):
        return schema
    return {
        word: REDACTED if word in _SCHEMA_VALUES and hideable(item) else item for word, item in schema.items()
    }
