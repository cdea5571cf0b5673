"""`autonomy kafka acls`: who may do what on the log, from the one table that the secured local stack sets too."""

import typer

from autonomy.acls import RIGHTS, as_commands, rules
from autonomy_cli import options as o
from autonomy_cli.show import print_json


def acls(bootstrap: o.Bootstrap = o.DEFAULT_KAFKA, as_json: o.Json = False) -> None:
    """The rules of least privilege, as calls of Kafka's own kafka-acls.sh; nothing is changed."""
    if as_json:
        print_json([{"principal": rule.principal, "topic": rule.topic, "operation": rule.operation.value} for rule in rules()])
        return
    for line in as_commands(bootstrap):
        print(line)
    typer.echo(f"Users: {', '.join(RIGHTS)}. The broker must deny what no rule allows (allow.everyone.if.no.acl.found=false).", err=True)
