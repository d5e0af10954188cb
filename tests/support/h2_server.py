"""A loopback HTTP/2 server (prior knowledge, no TLS) that streams chat completions, several at a time on a connection."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any

import h2.config
import h2.connection
import h2.events
from openai_server import chat_events


class H2Server:
    """Runs in threads of its own until `close()`; `url` is the base URL for the client."""

    def __init__(self) -> None:
        self.streams: list[int] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        bodies: dict[int, bytes] = {}
        with connection, contextlib.suppress(OSError):
            connection.sendall(state.data_to_send())
            while data := connection.recv(65_536):
                for event in state.receive_data(data):
                    if isinstance(event, h2.events.DataReceived):
                        bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                        state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded):
                        self._answer(
                            connection, state, event.stream_id, json.loads(bodies.pop(event.stream_id))
                        )
                connection.sendall(state.data_to_send())

    def _answer(self, connection: socket.socket, state: Any, stream: int, request: dict[str, Any]) -> None:
        self.streams.append(stream)
        state.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
        blocks = [f"data: {json.dumps(event)}\n\n" for event in chat_events(request)]
        if request["model"] == "reset":
            state.send_data(stream, "".join(blocks[:3]).encode())
            state.reset_stream(stream, 2)
            return
        for block in [*blocks, "data: [DONE]\n\n"]:
            state.send_data(stream, block.encode())
            connection.sendall(state.data_to_send())
        state.end_stream(stream)
