"""Static files and the templates: found once at start, addressed by content.

Place in the flow: package files → **assets** → templates. Vendor scripts are optional: without them the page is read without
live updates, and says so.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from autonomy.values import iso
from autonomy.version import VERSION
from bots_ui.base_path import Based
from bots_ui.operator.acts import ACTS, denied
from bots_ui.operator.sessions import Session
from bots_ui.shown import words
from bots_ui.shown.bullets import bullets_of
from bots_ui.shown.columns import LIST_COLUMNS
from bots_ui.shown.stacked import Stacked, stacked

STATIC: Final = Path(__file__).parent / "static"
VENDOR: Final = STATIC / "vendor"
MANIFEST: Final = VENDOR / "manifest.json"
TIME: Final = Markup('<time datetime="{0}" title="{1}" data-rel="{2}">{3}</time>')
MOMENT: Final = Markup('<time datetime="{0}" title="{1}" data-form="{2}">{3}</time>')


@dataclass(frozen=True, slots=True)
class Script:
    """A vendor script with its integrity."""

    path: str
    integrity: str


@dataclass(frozen=True, slots=True)
class Assets:
    """What the templates link to.

    Attributes:
        own: address by file name, with the content's hash in it.
        vendor: scripts in loading order; empty when they were not built.
    """

    own: Mapping[str, str]
    vendor: tuple[Script, ...]


def integrity_of(content: bytes) -> str:
    """A subresource integrity value."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def find_assets() -> Assets:
    """Hash the own files, and take the vendor scripts whose files are what the manifest says."""
    own = {
        path.name: f"/static/{path.name}?v={hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        for path in sorted(STATIC.iterdir())
        if path.is_file()
    }
    return Assets(own, vendor_scripts())


def vendor_scripts() -> tuple[Script, ...]:
    """The built scripts, or none: a half-built folder is no build."""
    if not MANIFEST.is_file():
        return ()
    scripts = []
    for entry in json.loads(MANIFEST.read_text())["scripts"]:
        path = VENDOR / entry["path"]
        if not path.is_file() or integrity_of(path.read_bytes()) != entry["integrity"]:
            return ()
        scripts.append(Script(f"/static/vendor/{entry['path']}", entry["integrity"]))
    return tuple(scripts)


def build_environment(assets: Assets, base_path: str = "") -> Environment:
    """The templates: escaping always on, a missing name is an error, every address below the base path."""
    environment = Environment(
        loader=PackageLoader("bots_ui"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        extensions=[Based, Stacked],
    )  # fmt: skip
    environment.globals.update(
        base=base_path,
        assets=assets,
        words=words,
        places=words.PAGES,
        columns=LIST_COLUMNS,
        release=VERSION,
        approval_denied=approval_denied,
    )
    environment.filters.update(
        ago=ago,
        until=until,
        clock=clock_time,
        full=full_time,
        bar=words.bar_of,
        span=words.span_words,
        instant=iso,
        stacked=stacked,
        bullets=bullets_of,
    )
    return environment


def approval_denied(session: Session | None, recommendation: Mapping[str, object]) -> str:
    """Why this reader may not approve this recommendation; empty when there is no reason."""
    to_stage, requested_by = recommendation.get("toStage"), recommendation.get("requestedBy")
    return denied(session, ACTS["approve"], to_stage=str(to_stage or ""), requested_by=str(requested_by or ""))


def ago(instant: datetime | None, now: datetime) -> Markup:
    """An age that ticks in the browser, with the instant in UTC behind it."""
    return _time(instant, (now - instant).total_seconds() if instant else 0, "ago")


def until(instant: datetime | None, now: datetime) -> Markup:
    """A time to go that ticks in the browser."""
    return _time(instant, (instant - now).total_seconds() if instant else 0, "until")


def _time(instant: datetime | None, seconds: float, kind: str) -> Markup:
    if instant is None:
        return Markup.escape(words.MISSING)
    whole = words.span_words(int(seconds)) if seconds >= 1 else "0 s"
    shown = whole if kind == "ago" else (f"in {whole}" if seconds > 0 else "due now")
    return TIME.format(iso(instant), words.full_words(instant), kind, shown)


def clock_time(instant: datetime | None) -> Markup:
    """A time of day that does not tick; UTC, and by the browser's clock where that was chosen."""
    return _moment(instant, "clock")


def full_time(instant: datetime | None) -> Markup:
    """Date and time, likewise."""
    return _moment(instant, "full")


def _moment(instant: datetime | None, form: str) -> Markup:
    if instant is None:
        return Markup.escape(words.MISSING)
    whole = words.full_words(instant)
    return MOMENT.format(iso(instant), whole, form, words.clock_words(instant) if form == "clock" else whole)
