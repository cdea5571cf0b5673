"""How Kafka's door is opened: one settings object, read from the environment and refused with the name of what is wrong.

Source: R-G2.
"""

import ssl
from pathlib import Path

import pytest
from aiokafka.abc import AbstractTokenProvider
from pydantic import ValidationError

from autonomy.kafka_access import KafkaAccess
from autonomy.kafka_clients import client_options, java_properties
from planner.shell.settings import PlannerSettings
from proof_api.voice import build_broker

SCRAM = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "planner", "KAFKA_SASL_PASSWORD": "se cret"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in KafkaAccess.model_fields.values():
        monkeypatch.delenv(str(name.validation_alias), raising=False)
    return monkeypatch


def given(environment: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)


def test_servers_are_split_for_every_client(environment: pytest.MonkeyPatch) -> None:
    servers = "a:1, b:2 ,[::1]:3"
    assert client_options(servers)["bootstrap_servers"] == ["a:1", "b:2", "[::1]:3"]
    told = build_broker(servers).specification.url
    assert [str(url) for url in told] == ["a:1", "b:2", "[::1]:3"]


def test_named_servers_leave_the_rest_to_the_environment(environment: pytest.MonkeyPatch) -> None:
    given(environment, KAFKA_BOOTSTRAP_SERVERS="elsewhere:9", **SCRAM)
    options = client_options("here:1")
    assert options == {
        "bootstrap_servers": ["here:1"], "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "planner", "sasl_plain_password": "se cret",
    }  # fmt: skip
    assert KafkaAccess().servers == "elsewhere:9"


def test_a_password_file_is_read_at_each_connection(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    given(environment, **{**SCRAM, "KAFKA_SASL_PASSWORD_FILE": str(file)})
    environment.delenv("KAFKA_SASL_PASSWORD")
    access = KafkaAccess()
    assert client_options(access)["sasl_plain_password"] == "first"
    file.write_text("second\n")
    assert client_options(access)["sasl_plain_password"] == "second"


async def test_tls_checks_names_and_tokens_come_from_their_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    given(environment, KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SASL_MECHANISM="OAUTHBEARER", KAFKA_OAUTH_TOKEN_FILE=str(file))
    options = client_options("a:1")
    assert (options["ssl_context"].check_hostname, options["ssl_context"].verify_mode) == (True, ssl.CERT_REQUIRED)
    tokens = options["sasl_oauth_token_provider"]
    assert isinstance(tokens, AbstractTokenProvider)
    assert await tokens.token() == "one"
    file.write_text("two\n")
    assert await tokens.token() == "two"


@pytest.mark.parametrize(("variables", "words"), [
    ({"KAFKA_BOOTSTRAP_SERVERS": "a"}, "KAFKA_BOOTSTRAP_SERVERS: each must be host:port"),
    ({"KAFKA_BOOTSTRAP_SERVERS": "a:1,,b:2"}, "KAFKA_BOOTSTRAP_SERVERS: each must be host:port"),
    ({"KAFKA_BOOTSTRAP_SERVERS": "a:70000"}, "1 to 65535, got 'a:70000'"),
    ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
    ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_USERNAME: SCRAM-SHA-512 needs one"),
    ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "a"}, "needs exactly one of them"),
    ({**SCRAM, "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "credentials need SASL_SSL or SASL_PLAINTEXT"),
    ({**SCRAM, "KAFKA_SASL_MECHANISM": "PLAIN"}, "KAFKA_SASL_MECHANISM"),
    ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_FILE": "/nowhere"}, "KAFKA_SSL_CA_FILE: there is no file /nowhere"),
    ({"KAFKA_SSL_CA_FILE": "/nowhere"}, "KAFKA_SSL_CA_FILE: needs KAFKA_SECURITY_PROTOCOL SSL or SASL_SSL"),
    ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEY_FILE": "/nowhere"}, "both or none"),
    ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, "OAUTHBEARER needs exactly one of them"),
    ({"KAFKA_REPLICATION_FACTOR": "0"}, "KAFKA_REPLICATION_FACTOR"),
])  # fmt: skip
def test_what_is_wrong_is_refused_by_its_name_at_a_services_start(
    environment: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    PlannerSettings()
    given(environment, **variables)
    with pytest.raises(ValidationError) as refusal:
        PlannerSettings()
    assert words in str(refusal.value)
    assert "se cret" not in str(refusal.value), "a secret is not said"


def test_kafkas_own_programs_get_the_same(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given(environment, **{**SCRAM, "KAFKA_SASL_PASSWORD": 'a"b'})
    assert java_properties(KafkaAccess()) == {
        "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": 'org.apache.kafka.common.security.scram.ScramLoginModule required username="planner" password="a\\"b";',
    }  # fmt: skip
