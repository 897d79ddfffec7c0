"""A server on this machine that speaks OpenAI's protocol of chats, and says what a test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], bytes]
"""What is answered to a body: the bytes of the response."""


class ChatServer(ThreadingHTTPServer):
    """Answers chats.

    Attributes:
      requests: bodies of all requests.
      headers: their headers.
      status: of the next answers.
      answer: makes them.
      hold: while it is not set, answers wait.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.answer: Answer = lambda _: chat({})
        self.hold = threading.Event()
        self.hold.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        server.requests.append({"path": self.path, **body})
        server.headers.append(dict(self.headers))
        server.hold.wait(120)
        content = server.answer(body)
        try:
            self.send_response(server.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except BrokenPipeError:
            pass  # nobody waits for it any more

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


def chat(content: object) -> bytes:
    """An answer whose message is this: text, or an object as JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    return json.dumps({"id": "c1", "object": "chat.completion", "choices": [choice]}).encode()


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Runs one on a free port."""
    server = ChatServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
