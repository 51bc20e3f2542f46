"""The dashboard and the alerts speak of metrics that the service has, in queries that Prometheus reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy_files import DEPLOY, documents, run, tool

pytest.importorskip("prometheus_client", reason="needs the extra server")

DASHBOARD = DEPLOY / "grafana" / "freehold.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
_NAME = re.compile(r"\bfreehold_[a-z_]+")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")


def series() -> dict[str, set[str]]:
    """Name of a series -> its labels, of a service's own registry."""
    from freehold.serving.metrics import Metrics

    found: dict[str, set[str]] = {}
    metrics = Metrics()
    collectors: Any = metrics.registry._collector_to_names
    for collector, names in collectors.items():
        labels = set(collector._labelnames) | {"instance", "job"}
        for name in names:
            found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return found


def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text())  # type: ignore[no-any-return]


def panel_queries() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]


def rules() -> list[dict[str, Any]]:
    return [rule for group in documents(ALERTS)[0]["groups"] for rule in group["rules"]]


QUERIES = [*panel_queries(), *(rule["expr"] for rule in rules())]


def test_a_registry_has_these() -> None:
    assert {"freehold_requests_total", "freehold_request_seconds_bucket", "freehold_engines_up"} <= set(series())


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_and_label_is_one_of_the_service(query: str) -> None:
    known = series()
    names = set(_NAME.findall(query))
    assert names <= set(known)
    assert names or query.startswith("up{")
    for name, body in re.findall(r"(freehold_[a-z_]+)\{([^}]*)\}", query):
        assert set(_LABEL.findall(body)) <= known[name], name


def test_the_dashboard_shows_every_metric() -> None:
    from freehold.serving.metrics import Metrics

    shown = " ".join(panel_queries())
    assert [family.name for family in Metrics().registry.collect() if family.name not in shown] == []


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_alert_says_what_to_do() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert len(rule["annotations"]["runbook"].split()) > 10, rule["alert"]


def test_settings_named_in_runbooks_exist() -> None:
    from freehold.config import SECTIONS

    text = ALERTS.read_text()
    for section, key in re.findall(rf"\b({'|'.join(SECTIONS)})\.([a-z_]+)\b", text):
        assert key in SECTIONS[section].__dataclass_fields__, f"{section}.{key}"


def test_promtool_reads_the_alerts_and_they_fire_as_they_should() -> None:
    promtool = tool("promtool")
    run(promtool, "check", "rules", ALERTS)
    run(promtool, "test", "rules", "alerts_test.yaml", cwd=ALERTS.parent)


def test_promtool_reads_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    promtool = tool("promtool")
    queries = [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in panel_queries()]
    made = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": made}]}))
    run(promtool, "check", "rules", tmp_path / "panels.yaml")
