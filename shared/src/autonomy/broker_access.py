"""How FastStream reaches the cluster: the same access as every other client's, in its words.

Place in the flow: `kafka_access` → `kafka_clients` → **broker access** → proof-api's voice, the notifier's readers.
"""

from typing import Any

from faststream.security import BaseSecurity, SASLOAuthBearer, SASLScram512

from autonomy.kafka_access import KafkaAccess
from autonomy.kafka_clients import client_options


def broker_options(kafka: str | KafkaAccess) -> dict[str, Any]:
    """The keyword arguments of a `KafkaBroker` that say where the cluster is and how its door opens."""
    access = KafkaAccess.of(kafka)
    options = client_options(access)
    found: dict[str, Any] = {"bootstrap_servers": options["bootstrap_servers"]}
    context, encrypted = options.get("ssl_context"), access.protocol.is_encrypted
    if not access.protocol.asks_who:
        return found | {"security": BaseSecurity(ssl_context=context, use_ssl=encrypted)}
    if access.mechanism == "OAUTHBEARER":
        security: BaseSecurity = SASLOAuthBearer(ssl_context=context, use_ssl=encrypted)
        return found | {"security": security, "sasl_oauth_token_provider": options["sasl_oauth_token_provider"]}
    name, secret = options["sasl_plain_username"], options["sasl_plain_password"]
    return found | {"security": SASLScram512(username=name, password=secret, ssl_context=context, use_ssl=encrypted)}
