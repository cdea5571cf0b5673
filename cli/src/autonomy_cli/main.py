"""The `autonomy` command: what there is, and under which words."""

import logging

import typer

from autonomy_cli import acting, reading, reading_log
from autonomy_cli.exits import EPILOG


def build_app() -> typer.Typer:
    """Every command."""
    app = typer.Typer(name="autonomy", help="Is it really working, why does a bot do what it does, and can it be proven?", epilog=EPILOG,
                      no_args_is_help=True, pretty_exceptions_enable=False)  # fmt: skip
    for name, command in (
        ("status", reading.status), ("why", reading.why), ("jobs", reading.jobs), ("runs", reading.runs),
        ("pause", acting.pause), ("resume", acting.resume), ("hold", acting.hold), ("release", acting.release),
        ("retire", acting.retire), ("cancel-job", acting.cancel_job),
    ):  # fmt: skip
        app.command(name, epilog=EPILOG)(command)
    bots = typer.Typer(invoke_without_command=True, epilog=EPILOG, callback=reading.bots)
    bots.command("register", epilog=EPILOG)(acting.register)
    app.add_typer(bots, name="bots")
    for name, what, word, command in (
        ("policy", "The policy in force.", "set", acting.set_policy),
        ("repair", "Ways out of a halt.", "accept-divergence", acting.accept_divergence),
        ("events", "The log itself.", "tail", reading_log.events_tail),
        ("audit", "Re-derive what was decided.", "verify", reading_log.audit_verify),
    ):
        group = typer.Typer(no_args_is_help=True, epilog=EPILOG, callback=_group)
        group.command(word, epilog=EPILOG)(command)
        app.add_typer(group, name=name, help=what)
    return app


def _group() -> None:
    """A group of commands."""


def main() -> None:
    """Run one command."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    build_app()()


if __name__ == "__main__":
    main()
