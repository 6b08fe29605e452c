"""deploy/kubernetes.yaml against the published schemas, and against what the service does."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from echo.app import create_app
from echo.settings import Settings, options

ROOT = Path(__file__).resolve().parents[1]

RESOURCES = list(
    yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8"))
)

#: The versions of Kubernetes from the first that has the preStop action ``sleep``.
VERSIONS = [
    version
    for version in kubernetes_validate.utils.all_versions()
    if [int(number) for number in version.split(".")] >= [1, 30]
]


@pytest.fixture
def pod():
    (deployment,) = [one for one in RESOURCES if one["kind"] == "Deployment"]
    return deployment["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (container,) = pod["containers"]
    return container


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource["kind"])
def test_the_schema_of_each_version(resource, version):
    kubernetes_validate.validate(resource, version, strict=True)


def test_what_is_there():
    kinds = [resource["kind"] for resource in RESOURCES]
    assert kinds == ["Deployment", "Service", "HorizontalPodAutoscaler"]


def test_names_lead_to_each_other(pod, container):
    deployment, service, scaler = RESOURCES
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    (port,) = container["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert target["apiVersion"] == deployment["apiVersion"]


def test_variables_are_options_with_good_values(container, monkeypatch):
    given = {one["name"]: one.get("value", "") for one in container["env"]}
    assert given.keys() <= {option.envvar for option in options()}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    assert settings.host == "0.0.0.0"
    assert settings.port == container["ports"][0]["containerPort"]


def test_the_grace_period_is_enough_for_the_shutdown(pod, container):
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    (shutdown,) = [
        float(one["value"]) for one in container["env"] if one["name"] == "ECHO_SHUTDOWN_TIMEOUT"
    ]
    probe = container["readinessProbe"]
    assert pause >= probe["periodSeconds"] * probe["failureThreshold"]
    assert pod["terminationGracePeriodSeconds"] >= pause + shutdown + 5


def test_probes_ask_for_what_there_is(container):
    client = create_app(Settings()).test_client()
    for probe in ("startupProbe", "readinessProbe"):
        path = container[probe]["httpGet"]["path"]
        assert client.get(path).status_code == 200
    # A full server refuses connections: an HTTP probe would have it killed for that.
    assert "httpGet" not in container["livenessProbe"]


def test_nothing_runs_as_root(pod, container):
    assert pod["securityContext"]["runAsNonRoot"] is True
    user = pod["securityContext"]["runAsUser"]
    assert user > 0
    assert f"\nUSER {user}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_image_has_all_that_is_served():
    """What the Dockerfile copies is let through by .dockerignore and is all that there is."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        name
        for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE)
        for name in line.split()
    }
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)
    served = {"server.py", "gunicorn.conf.py", "echo", "static", "templates", "requirements.txt"}
    assert served <= copied
