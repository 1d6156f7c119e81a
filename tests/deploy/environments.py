"""Prints the environment that a platform gives to an instance, one KEY=VALUE a line.

usage: environments.py compose|kubernetes|fly SECRETS

Paths inside of containers become paths of this machine: SECRETS is the folder of secrets.
"""

import sys
import tomllib
from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def compose():
    whole = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
    environment = whole["services"]["calldex-2"]["environment"]
    return environment | {"PUBLIC_URL": "https://calls.example.net", "TWILIO_ACCOUNT_SID": ""}


def kubernetes():
    base = yaml.safe_load((DEPLOY / "kubernetes/base/statefulset.yaml").read_text())
    patch = yaml.safe_load((DEPLOY / "kubernetes/overlays/example/settings.yaml").read_text())
    environment = {}
    for manifest in (base, patch):
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        environment |= {variable["name"]: variable.get("value", "calldex-1") for variable in container["env"]}
    instance = environment["CALLDEX_SERVER__INSTANCE"]
    return {
        name: value.replace("$(CALLDEX_SERVER__INSTANCE)", instance)
        .replace("/etc/calldex/", f"{DEPLOY}/kubernetes/base/")
        for name, value in environment.items()
    }


def fly():
    environment = tomllib.loads((DEPLOY / "fly.toml").read_text())["env"]
    # Secrets of Fly's are variables.
    secrets = {path.name: path.read_text().strip() for path in Path(sys.argv[2]).iterdir()}
    secrets.pop("GRAFANA_PASSWORD", None)
    # The entrypoint adds the machine's own name.
    return environment | secrets | {"CALLDEX_CLUSTER__ADVERTISE": "m1.vm.calldex.internal:7946"}


for name, value in {"compose": compose, "kubernetes": kubernetes, "fly": fly}[sys.argv[1]]().items():
    for folder in ("/run/secrets/calldex", "/run/secrets"):
        value = value.replace(folder, sys.argv[2])
    print(f"{name}={value}")
