"""The options that many commands share; the words are those of the API's URLs."""

import os
from pathlib import Path
from typing import Annotated

import typer

from autonomy.reasons import Reason
from autonomy.values import BotState, JobStatus, JobType, Recency, Stage

# Beside another stack a shell has other ports and another data folder: what is asked must be the stack whose token is said.
DEFAULT_API = f"http://127.0.0.1:{os.environ.get('PROOF_API_PORT', '5000')}"
DEFAULT_UI = f"http://127.0.0.1:{os.environ.get('BOTS_UI_PORT', '5001')}"
DEFAULT_KAFKA = f"127.0.0.1:{os.environ.get('KAFKA_PORT', '9392')}"
MAX_ITEMS = 1_000_000

Api = Annotated[str, typer.Option("--api", envvar="AUTONOMY_API", help="Address of proof-api.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output instead of words.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=MAX_ITEMS, help="At most so many items.")]
AllOrLimit = Annotated[int, typer.Option("--limit", min=0, max=MAX_ITEMS, help="At most so many items; 0: all, page by page.")]
Bootstrap = Annotated[str, typer.Option("--bootstrap", envvar="KAFKA_BOOTSTRAP_SERVERS", help="Kafka's bootstrap servers.")]
Why = Annotated[str, typer.Option("--reason", help="Why, in your words; it is recorded.")]
Key = Annotated[str | None, typer.Option("--key", help="Idempotency key: the same key says the command once. Default: a fresh one.")]
Bot = Annotated[str, typer.Argument(help="A bot's id.")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="YAML or JSON.")]

States = Annotated[list[BotState] | None, typer.Option("--state", help="Primary badge; may be repeated.")]
Stages = Annotated[list[Stage] | None, typer.Option("--stage", help="May be repeated.")]
Reasons = Annotated[list[Reason] | None, typer.Option("--reason", help="Reason code of the last decision; may be repeated.")]
Recencies = Annotated[list[Recency] | None, typer.Option("--recency", help="Age of the evidence; may be repeated.")]
Text = Annotated[str, typer.Option("--q", help="Part of the id, name, symbol or strategy.")]
Statuses = Annotated[list[JobStatus] | None, typer.Option("--status", help="May be repeated.")]
Types = Annotated[list[JobType] | None, typer.Option("--type", help="May be repeated.")]
OneBot = Annotated[str | None, typer.Option("--bot", help="Of this bot only.")]
