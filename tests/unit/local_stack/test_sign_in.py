"""How `make up` says that one signs in: by a link that works once, else with the token; never with the token itself."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typing_extensions import override

from local_stack.api import sign_in_words

TOKEN = "t" * 43


@pytest.fixture
def page() -> Iterator[str]:
    """A Bots page that makes links for this token alone."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            known = self.path == "/sign-in/links" and self.headers["Authorization"] == f"Bearer {TOKEN}"
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200 if known else 401)
            self.end_headers()
            self.wfile.write(json.dumps({"path": "/sign-in/once?code=abc"} if known else {"title": "No link"}).encode())

        @override
        def log_message(self, *_: object) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_prints_a_link(page: str, tmp_path: Path) -> None:
    token = tmp_path / "operator.token"
    token.write_text(f"{TOKEN}\n")
    words = sign_in_words(page, token, Path("shown"))
    assert words.startswith(f"{page}/sign-in/once?code=abc\n")
    assert "token in shown" in words
    assert TOKEN not in words


def test_without_a_link_it_says_where_the_token_is(page: str, tmp_path: Path) -> None:
    token = tmp_path / "operator.token"
    expected = f"{page}/sign-in   (operator local; token in shown)"
    assert sign_in_words(page, token, Path("shown")) == expected  # no token was made
    token.write_text("another")
    assert sign_in_words(page, token, Path("shown")) == expected  # the page refuses it
    assert "once?code" not in sign_in_words("http://127.0.0.1:1", token, Path("shown"))  # nobody answers
