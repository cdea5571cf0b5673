"""The `autonomy` command: what there is, and under which words."""

import logging
from collections.abc import Callable
from typing import Annotated

import typer

from autonomy.version import VERSION
from autonomy_cli import acting, applying, careers, data, doctor, kafka_rules, login, notify, operators, reading, reading_log, strategies
from autonomy_cli.exits import EPILOG

Command = Callable[..., None]
FILES = "Strategies of your own: write, check, see what the runners offer."
OWN_BARS = "Bars of your own: look at them, take them in."
WINNERS = "Winners of searches that wait for a word."
TELLING = "Who is told what happens."
WHO = "Who may act, in the file that proof-api reads."


def plain_commands() -> dict[str, Command]:
    """Commands of one word."""
    return {
        "status": reading.status, "why": reading.why, "why-no-trade": careers.why_no_trade,
        "jobs": reading.jobs, "runs": reading.runs, "workers": reading.workers, "pause": acting.pause,
        "resume": acting.resume, "hold": acting.hold, "release": acting.release, "change": acting.change, "retire": acting.retire,
        "cancel-job": acting.cancel_job, "revert": careers.revert, "promotions": careers.promotions, "approve": careers.approve,
        "reject": careers.reject, "pin": careers.pin, "unpin": careers.unpin, "promotion-mode": careers.promotion_mode,
        "gates": careers.gates, "apply": applying.apply, "doctor": doctor.doctor, "backtest": strategies.backtest,
        "login": login.login,
    }  # fmt: skip


def grouped_commands() -> dict[tuple[str, str], tuple[str, Command]]:
    """Commands of two words, with what their group is about."""
    return {
        ("repair", "accept-divergence"): ("Ways out of a halt.", acting.accept_divergence),
        ("events", "tail"): ("The log itself.", reading_log.events_tail),
        ("kafka", "acls"): ("What a cluster needs to be told.", kafka_rules.acls),
        ("audit", "verify"): ("Re-derive what was decided.", reading_log.audit_verify),
        ("strategy", "new"): (FILES, strategies.new),
        ("strategy", "check"): (FILES, strategies.check),
        ("strategy", "list"): (FILES, strategies.show),
        ("data", "check"): (OWN_BARS, data.check),
        ("data", "import"): (OWN_BARS, data.take),
        ("challenger", "approve"): (WINNERS, careers.approve_challenger),
        ("challenger", "reject"): (WINNERS, careers.reject_challenger),
        ("notify", "check"): (TELLING, notify.check),
        ("notify", "test"): (TELLING, notify.send),
        ("operator", "add"): (WHO, operators.add),
        ("operator", "list"): (WHO, operators.show),
        ("operator", "revoke"): (WHO, operators.revoke),
    }


def build_app() -> typer.Typer:
    """Every command."""
    app = typer.Typer(
        name="autonomy", help="Is it really working, why does a bot do what it does, and can it be proven?", epilog=EPILOG,
        no_args_is_help=True, pretty_exceptions_enable=False, callback=_root,
    )  # fmt: skip
    for name, command in plain_commands().items():
        app.command(name, epilog=EPILOG)(command)
    bots = typer.Typer(invoke_without_command=True, epilog=EPILOG, callback=reading.bots)
    bots.command("register", epilog=EPILOG)(acting.register)
    app.add_typer(bots, name="bots")
    policy = typer.Typer(invoke_without_command=True, epilog=EPILOG, callback=reading.policy)
    policy.command("set", epilog=EPILOG)(acting.set_policy)
    app.add_typer(policy, name="policy")
    groups: dict[str, typer.Typer] = {}
    for (name, word), (what, command) in grouped_commands().items():
        if name not in groups:
            groups[name] = typer.Typer(no_args_is_help=True, epilog=EPILOG, callback=_group)
            app.add_typer(groups[name], name=name, help=what)
        groups[name].command(word, epilog=EPILOG)(command)
    return app


def _say_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(f"autonomy {VERSION}")
        raise typer.Exit


def _root(
    _version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and end.")] = False,
) -> None:
    """All commands."""


def _group() -> None:
    """A group of commands."""


def main() -> None:
    """Run one command."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    build_app()()


if __name__ == "__main__":
    main()
