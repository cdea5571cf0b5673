"""Pages below a path of a proxy: what comes in loses the path, and what goes out has it.

Place in the flow: proxy → **base path** → application, and template → **base path** → browser. In between every address is as if the
page had a host of its own, so no route, form or list knows of it. A proxy may keep the path or cut it off; both work.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from jinja2.ext import Extension
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

ADDRESSES: Final = ("location", "hx-push-url")
"""Headers of an answer that hold an address."""
ATTRIBUTES: Final = re.compile(r'\b(href|src|action|hx-get|hx-post|data-live|data-worker)="(?=/|\{\{)')
"""Attributes of a template that hold an address of this site, written out or computed; those of its own page begin with # or ?."""


class Based(Extension):
    """Puts `base` before each address of a template, as it is loaded."""

    @override
    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """The template with its addresses below the base path."""
        return ATTRIBUTES.sub(r'\1="{{ base }}', source)


@dataclass(frozen=True, slots=True)
class AtBasePath:
    """The application below a path."""

    app: ASGIApp
    base: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request at the application's own address."""
        if scope["type"] != "http" or not self.base:
            await self.app(scope, receive, send)
            return
        path, raw = scope["path"], scope.get("raw_path") or scope["path"].encode()
        if path == self.base or path.startswith(f"{self.base}/"):
            scope = {**scope, "path": path[len(self.base) :] or "/", "raw_path": raw[len(self.base) :] or b"/"}

        async def based(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name in ADDRESSES:
                    if name in headers:
                        headers[name] = self.address(headers[name], Headers(scope=scope).get("host", ""))
            await send(message)

        await self.app(scope, receive, based)

    def address(self, address: str, host: str) -> str:
        """An address of this site below the base path; another site's as it is."""
        split = urlsplit(address)
        if split.netloc not in {"", host}:
            return address
        return f"{self.base}{split.path or '/'}" + (f"?{split.query}" if split.query else "")
