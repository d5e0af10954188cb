"""The gate: forged hosts, other origins, tokens, and what a page may load."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from spanreel_viewer import guards, launch, shell


async def hello(_request: object) -> PlainTextResponse:
    return PlainTextResponse("hello", headers={"content-security-policy": "default-src *"})


async def socket(connection: WebSocket) -> None:
    await connection.accept()
    await connection.send_text("hello")
    await connection.close()


def client(token: str | None = None, host: str = "127.0.0.1:8501") -> TestClient:
    csp = guards.policy(inline_scripts=["sha256-x"], port=8501, hosts=guards.LOOPBACK)
    rules = guards.Rules(guards.LOOPBACK, csp, token)
    app = Starlette(
        routes=[Route("/", hello, methods=["GET", "POST"]), WebSocketRoute("/ws", socket)],
        middleware=[Middleware(guards.Gate, rules)],
    )
    return TestClient(app, base_url=f"http://{host}", follow_redirects=False)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:8501", "[::1", "", "localhost@evil.example"],
)
def test_a_forged_host_is_refused(host: str) -> None:
    assert client().get("/", headers={"host": host}).status_code == 400
    with pytest.raises(WebSocketDisconnect), client().websocket_connect("/ws", headers={"host": host}):
        pass


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8501", "localhost:8501", "LOCALHOST", "[::1]:8501", "localhost."]
)
def test_our_own_names_are_served(host: str) -> None:
    assert client().get("/", headers={"host": host}).text == "hello"


def test_a_page_of_another_origin_gets_nothing() -> None:
    other = {"origin": "http://evil.example"}
    assert client().get("/", headers=other).status_code == 403
    assert client().post("/", headers=other).status_code == 403
    assert (
        client().get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}).status_code
        == 403
    )
    assert client().post("/", headers={"sec-fetch-site": "same-site"}).status_code == 403
    with pytest.raises(WebSocketDisconnect), client().websocket_connect("/ws", headers=other):
        pass


def test_a_link_from_elsewhere_and_our_own_page_are_served() -> None:
    assert (
        client().get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code
        == 200
    )
    with client().websocket_connect(
        "/ws", headers={"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:8501"}
    ) as ws:
        assert ws.receive_text() == "hello"


def test_headers_stand_on_every_answer_and_cannot_be_widened() -> None:
    answer = client().get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "default-src *" not in policy
    assert "img-src 'self' data: blob:" in policy
    assert "frame-ancestors 'none'" in policy
    assert "ws://127.0.0.1:8501" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_token_is_exchanged_for_a_cookie() -> None:
    door = client(token="s3cret")
    assert door.get("/").status_code == 401
    assert door.get("/?token=wrong").status_code == 401
    with (
        pytest.raises(WebSocketDisconnect),
        door.websocket_connect("/ws", headers={"host": "127.0.0.1:8501"}),
    ):
        pass
    moved = door.get("/?token=s3cret&q=x")
    assert moved.status_code == 303
    assert moved.headers["location"] == "/?q=x"
    assert "HttpOnly" in moved.headers["set-cookie"]
    assert door.get("/").status_code == 200
    assert client(token="s3cret").get("/", headers={"authorization": "Bearer s3cret"}).status_code == 200


@pytest.mark.parametrize("token", ["a+b/c=d==", "a&b", "p\u00e4 ss", "a;b", 'x"y', "a%41", "sp ace#x"])
def test_any_token_opens_the_door_that_was_printed(token: str) -> None:
    door = client(token=token)
    address = urlsplit(launch.url("127.0.0.1", 8501, token))
    assert address.query.isascii()
    moved = door.get(f"/?{address.query}")
    assert moved.status_code == 303
    assert guards.ticket(token) in moved.headers["set-cookie"]
    assert token not in moved.headers["set-cookie"]
    assert door.get("/").status_code == 200
    bearer = b"Bearer " + token.encode()
    assert client(token=token).get("/", headers={b"authorization": bearer}).status_code == 200


def test_the_redirect_stays_here() -> None:
    moved = client(token="t").get("//evil.example/x?token=t")
    assert not moved.headers.get("location", "/").startswith("//")
    moved = client(token="t").get("/x%0d%0aX-Evil:%20y?token=t")
    assert moved.headers["location"] == "/x%0D%0AX-Evil%3A%20y"


def test_others_are_only_served_with_a_token() -> None:
    with pytest.raises(launch.LaunchError, match="give a token"):
        launch.launch("/nowhere", host="0.0.0.0", open_browser=False)


def test_a_taken_port_gives_way_only_where_none_was_chosen() -> None:
    taken = launch.listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with taken, pytest.raises(launch.LaunchError, match="Cannot listen"):
        launch.listen("127.0.0.1", port)


def test_addresses() -> None:
    assert launch.url("127.0.0.1", 8501, None) == "http://127.0.0.1:8501/"
    assert launch.url("::1", 1, "t") == "http://[::1]:1/?token=t"


def test_the_page_is_ours_and_its_scripts_are_allowed() -> None:
    page = shell.page("/trace", "trace=0123abcd&span=1")
    assert "<title>spanreel</title>" in page
    assert "SourceSans" not in page
    assert 'href="/api/trace?trace=0123abcd"' in page
    assert '"/assets/trace/main.js"' in page
    assert '"/assets/detail/json.js"' in page
    assert page.count("<script>") == len(shell.inline_script_hashes())
    assert "openapi" not in page


@pytest.mark.parametrize(
    "query", ['trace="><script>alert(1)</script>', "trace=last", "trace=ABC", "", "trace=" + "a" * 33]
)
def test_nothing_of_the_address_reaches_the_page_unchecked(query: str) -> None:
    page = shell.page("/trace", query)
    assert "alert(1)" not in page
    assert "/api/trace?" not in page
