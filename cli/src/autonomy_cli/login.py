"""Sign a browser in without pasting a token: a link that works once.

Place in the flow: token → Bots page → **link** on standard output. The token goes to the page that is named, as its sign-in form sends it.
"""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

import typer

from autonomy import client
from autonomy.client import Refused, Unreachable
from autonomy_cli import options as o
from autonomy_cli.api import known_token, token_file
from autonomy_cli.exits import Exit, fail
from autonomy_cli.show import print_json

Ui = Annotated[str, typer.Option("--ui", envvar="AUTONOMY_UI", help="Address of the Bots page, as the browser will open it.")]


def login(ui: Ui = o.DEFAULT_UI, as_json: o.Json = False) -> None:
    """Print a link that signs a browser in as you, once, within five minutes. Who has it meanwhile can use it in your place."""
    token = known_token()
    if token is None:
        fail(Exit.CANNOT_RUN, f"no operator token: set AUTONOMY_TOKEN, or AUTONOMY_DATA_DIR to the folder of {token_file().name}")
    address = ui.rstrip("/")
    if urlsplit(address).scheme not in {"http", "https"}:
        fail(Exit.CANNOT_RUN, f"{ui} is no address: it begins with http:// or https://")
    answer = client.ProofApi(address, token).post("/sign-in/links", {})
    if isinstance(answer, Unreachable):
        fail(Exit.CANNOT_RUN, f"the Bots page does not answer at {address} (--ui or AUTONOMY_UI): {answer.why}")
    if isinstance(answer, Refused):
        lost = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.code == client.NO_JSON
        fail(Exit.CANNOT_RUN if lost else Exit.REFUSED, f"{address} made no link: {answer.words}")
    document = answer.document
    link = f"{address}{document.get('path')}"
    if as_json:
        print_json({"link": link, "name": document.get("name"), "seconds": document.get("seconds")})
        return
    print(link)
    typer.echo(f"signs in as {document.get('name')}, once, within {int(float(str(document.get('seconds') or 0)))} s", err=True)
