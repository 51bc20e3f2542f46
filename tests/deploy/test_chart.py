"""The chart: its values and their schema, what it renders to by Helm itself, and what must be so of that."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from deploy_files import CHART, documents, problem_with, run, tool

from freehold import __version__, config

RENDERED = Path(__file__).parent / "rendered.yaml"
"""What Helm makes of the chart with every option on: looked at where there is no Helm, and by whoever reviews."""
ALL_ON = yaml.safe_load(
    """
image: { repository: registry.example/freehold, digest: "sha256:%s" }
imagePullSecrets: [{ name: registry }]
secrets: { existingSecret: freehold-llm }
models: { existingClaim: models }
networkPolicy:
  from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: desk } } }]
  endpoints:
    - name: llm
      to: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: models } } }]
      port: 8000
podDisruptionBudget: { enabled: true }
serviceMonitor: { enabled: true, labels: { release: prometheus } }
podAnnotations: { team: law }
podLabels: { team: law }
nodeSelector: { disk: encrypted }
tolerations: [{ key: house, operator: Exists }]
priorityClassName: important
extraVolumes: [{ name: backup, persistentVolumeClaim: { claimName: backup } }]
extraVolumeMounts: [{ name: backup, mountPath: /backup }]
"""
    % ("0" * 64)
)
_RENDER = """
import json, sys
from helm_python import Chart
with Chart.load(sys.argv[1]) as chart:
    values = json.loads(sys.argv[2])
    chart.validate_schema(values)
    made = chart.render(values=values, name="law", namespace="rag")
for name, text in sorted(made.items()):
    if name.endswith(".yaml") and text.strip():
        print("---\\n# " + name + "\\n" + text.strip())
"""


def render(values: dict[str, Any]) -> str:
    """By Helm's own library; the test is skipped where there is none."""
    python = Path(tool("kubernetes-validate")).parent / "python"
    if subprocess.run([python, "-c", "import helm_python"], capture_output=True, check=False).returncode:
        pytest.skip("no helm-python-sdk here: make deploy-check")
    return run(python, "-c", _RENDER, CHART, json.dumps(values))


def values() -> dict[str, Any]:
    return documents(CHART / "values.yaml")[0]  # type: ignore[no-any-return]


def schema() -> dict[str, Any]:
    return json.loads((CHART / "values.schema.json").read_text())  # type: ignore[no-any-return]


def resources(text: str) -> dict[str, dict[str, Any]]:
    """Kind -> the one that there is."""
    made = [one for one in yaml.safe_load_all(text) if one]
    assert len({one["kind"] for one in made}) == len(made)
    return {one["kind"]: one for one in made}


@pytest.fixture
def made() -> dict[str, dict[str, Any]]:
    return resources(RENDERED.read_text())


def pods(made: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    job = made["CronJob"]["spec"]["jobTemplate"]["spec"]
    return [made["StatefulSet"]["spec"]["template"]["spec"], job["template"]["spec"]]


# -- values ------------------------------------------------------------------------------------------------------------


def test_the_values_are_as_the_schema_says() -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    jsonschema.validate(values(), schema())


def test_the_schema_knows_every_value() -> None:
    assert set(values()) | {"global"} == set(schema()["properties"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 2},
        {"image": {"repository": "freehold", "tag": "latest"}},
        {"image": {"repository": "freehold", "digest": "sha256:abc"}},
        {"settings": "name = 1"},
        {"networkPolicy": {"endpoints": [{"name": "all", "port": 443}]}},
        {"networkPolicy": {"from": []}},
        {"house": {"size": "many"}},
    ],
)
def test_the_schema_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**values(), **wrong}, schema())


def test_the_settings_load_also_with_what_is_a_comment(tmp_path: Path) -> None:
    text = values()["settings"]
    path = tmp_path / config.FILE_NAME
    path.write_text(text)
    settings = config.load(path)
    limits = values()["resources"]["limits"]
    engines = settings.server.engines or float(limits["cpu"])  # one for each core of the quota
    assert float(limits["memory"].removesuffix("Gi")) >= 1 + 0.5 * engines
    head, mark, tail = text.partition("# [generator]")
    path.write_text(head + (mark + tail).replace("# ", ""))
    assert config.load(path).generator.kind == "openai"


def test_the_chart_is_of_the_packages_version() -> None:
    chart = documents(CHART / "Chart.yaml")[0]
    assert chart["appVersion"] == chart["version"] == __version__


# -- what it renders to ------------------------------------------------------------------------------------------------


def test_what_is_kept_here_is_what_helm_renders() -> None:
    assert RENDERED.read_text() == render(ALL_ON), "python tests/deploy/test_chart.py writes it anew"


def test_helm_renders_it_with_its_own_values() -> None:
    made = resources(render({}))
    assert set(made) == {
        "ConfigMap", "CronJob", "NetworkPolicy", "PersistentVolumeClaim", "Service", "ServiceAccount", "StatefulSet",
    }  # fmt: skip
    assert made["NetworkPolicy"]["spec"]["egress"] == [], "nobody is named, so there is no way out, nor to a resolver"
    assert made["ConfigMap"]["data"]["freehold.toml"].strip() == values()["settings"].strip()


@pytest.mark.parametrize("version", ["1.27", "1.30", "1.33"])
def test_kubernetes_knows_what_it_renders_to(version: str, tmp_path: Path) -> None:
    validate = tool("kubernetes-validate")
    for name, text in (("own", render({})), ("on", RENDERED.read_text())):
        known = [one for one in yaml.safe_load_all(text) if one and one["kind"] != "ServiceMonitor"]
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(known))
        run(validate, "--strict", "-k", version, tmp_path / f"{name}.yaml")


def test_one_pod_writes_and_the_schedule_is_beside_it(made: dict[str, dict[str, Any]]) -> None:
    assert made["StatefulSet"]["spec"]["replicas"] == 1
    assert made["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert made["PersistentVolumeClaim"]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    serve, schedule = pods(made)
    claims = [v["persistentVolumeClaim"]["claimName"] for pod in (serve, schedule) for v in pod["volumes"][:1]]
    assert claims == [made["PersistentVolumeClaim"]["metadata"]["name"]] * 2
    (term,) = schedule["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = made["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= labels.items()
    assert made["CronJob"]["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_service_is_of_the_serving_pod_alone(made: dict[str, dict[str, Any]]) -> None:
    selector = made["Service"]["spec"]["selector"].items()
    job = made["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]
    assert selector <= made["StatefulSet"]["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= job["metadata"]["labels"].items()


def test_pods_are_restricted(made: dict[str, dict[str, Any]]) -> None:
    """As the profile `restricted` of Pod Security Standards has it, and a root file system that is read-only."""
    assert made["ServiceAccount"]["automountServiceAccountToken"] is False
    for pod in pods(made):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001, "as in the image"
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert all("hostPath" not in volume for volume in pod["volumes"])
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])
            assert "@sha256:" in container["image"]


def test_pods_run_commands_of_freehold(made: dict[str, dict[str, Any]]) -> None:
    serve, schedule = pods(made)
    assert problem_with(serve["containers"][0]["args"]) == ""
    assert schedule["containers"][0]["args"] == ["schedule", "run"]
    assert problem_with(["schedule", "run"]) == ""


def test_probes_ask_what_there_is(made: dict[str, dict[str, Any]]) -> None:
    container = pods(made)[0]["containers"][0]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}
    assert pods(made)[0]["terminationGracePeriodSeconds"] >= 45


def test_the_way_out_is_to_whom_is_named(made: dict[str, dict[str, Any]]) -> None:
    spec = made["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for rule in spec["egress"] for port in rule["ports"]] == [53, 53, 8000]
    assert all(rule["to"] for rule in spec["egress"]), "a rule without `to` is one to everywhere"
    labels = spec["podSelector"]["matchLabels"].items()
    job = made["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]
    for template in (made["StatefulSet"]["spec"]["template"], job):
        assert labels <= template["metadata"]["labels"].items()


if __name__ == "__main__":
    RENDERED.write_text(render(ALL_ON))
