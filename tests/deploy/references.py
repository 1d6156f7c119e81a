"""What compose, Kubernetes and Fly name must be there, and their waits must cover calldex's own bounds."""

import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
# From the last goodbye to the end of the process (src/app, server.drain_ms_max in config.example.toml).
AFTER_DRAIN_S = 30

faults = []


def must(holds, what):
    if not holds:
        faults.append(what)


def read(path):
    return list(yaml.safe_load_all(path.read_text()))


def setting(name):
    """A default out of config.example.toml."""
    return int(re.search(rf"^{name} = (\d+)", (DEPLOY / "config.example.toml").read_text(), re.M)[1])


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([smh])", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


DRAIN_S = (setting("drain_notice_ms") + setting("drain_ms_max")) // 1000 + AFTER_DRAIN_S
LONGEST_CALL_S = setting("duration_s_max")
EXPOSED = {int(port) for port in re.search(r"^EXPOSE (.*)$", (DEPLOY / "Dockerfile").read_text(), re.M)[1].split()}
SECRETS = set(re.findall(r"^(?:given|random) (\w+)", (DEPLOY / "secrets").read_text(), re.M))


def compose():
    folder = DEPLOY / "compose"
    (whole,) = read(folder / "compose.yaml")
    (tls,) = read(folder / "compose.tls.yaml")
    services = whole["services"]
    instances = [name for name in services if name.startswith("calldex-")]
    must(len(instances) == 3, "compose: three instances")
    used = set()
    for name, service in services.items():
        used |= set(service.get("secrets", []))
        for volume in service.get("volumes", []) + tls["services"].get(name, {}).get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and source != "./tls":
                must((folder / source).exists(), f"compose: {name} mounts {source}, which is not there")
            elif not source.startswith("."):
                must(source in whole["volumes"], f"compose: {name} mounts {source}, which is no volume")
    must(used == set(whole["secrets"]), "compose: each secret is used, each used one is there")
    for name, secret in whole["secrets"].items():
        must(name in SECRETS, f"compose: deploy/secrets does not make {name}")
        must(secret["file"] == f"./secrets/{name}", f"compose: {name} lies elsewhere")
    for name in instances:
        service, environment = services[name], services[name]["environment"]
        must(seconds(service["stop_grace_period"]) > DRAIN_S, f"compose: {name} is killed while it drains")
        must(service["hostname"] == environment["CALLDEX_SERVER__INSTANCE"] == name, f"compose: {name} has two names")
        must(environment["CALLDEX_CLUSTER__ADVERTISE"] == f"{name}:7946", f"compose: {name} is found elsewhere")
        must(f"{name}:7946" in environment["CALLDEX_CLUSTER__JOIN"].split(","), f"compose: nobody joins through {name}")
        for variable, value in environment.items():
            if variable.endswith("_FILE"):
                secret = variable.removesuffix("_FILE")
                must(value == f"/run/secrets/{secret}" and secret in service["secrets"], f"compose: {name}: {variable}")
    proxy = services["haproxy"]["environment"]
    named = set(re.findall(r"CALLDEX_\w+", (DEPLOY / "haproxy/haproxy.cfg").read_text()))
    must(set(proxy) | set(tls["services"]["haproxy"]["environment"]) <= named, "compose: haproxy.cfg knows each variable")
    for number, name in enumerate(instances, 1):
        must(proxy[f"CALLDEX_{number}"] == f"{name}:8080", f"compose: HAProxy asks {name} elsewhere")
        must(int(proxy[f"CALLDEX_{number}_ADMIN_PORT"]) in EXPOSED, f"compose: HAProxy checks {name} elsewhere")
    (prometheus,) = read(folder / "prometheus.yml")
    for job in prometheus["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            must(target.split(":")[0] in services, f"prometheus.yml: {target} is no service")
    (source,) = read(folder / "grafana/datasources/prometheus.yml")
    must("http://prometheus:9090" == source["datasources"][0]["url"], "Grafana asks Prometheus elsewhere")
    (provider,) = read(folder / "grafana/dashboards/calldex.yml")
    path = provider["providers"][0]["options"]["path"]
    mounts = [volume for volume in services["grafana"]["volumes"] if f":{path}:" in volume]
    must(len(mounts) == 1, "Grafana: the dashboards are mounted where they are looked for")
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    must((ROOT / "observability/dashboards" / Path(home).name).exists(), "Grafana: its first page is a dashboard")


def kustomization(folder, seen):
    """Every file that a kustomization names, and those that these name."""
    seen.add(folder)
    (whole,) = read(folder / "kustomization.yaml")
    files = whole.get("resources", []) + whole.get("components", [])
    files += [patch["path"] for patch in whole.get("patches", []) if "path" in patch]
    files += [file for made in whole.get("configMapGenerator", []) for file in made.get("files", [])]
    for name in files:
        path = (folder / name).resolve()
        must(path.exists(), f"{folder.name}: {name} is not there")
        if path.is_dir() and path not in seen:
            kustomization(path, seen)
    if whole["kind"] == "Kustomization":
        listed = {(folder / name).resolve() for name in files}
        for path in folder.glob("*.yaml"):
            must(path.name == "kustomization.yaml" or path.resolve() in listed, f"{path.name} is in no kustomization")


def kubernetes():
    base = DEPLOY / "kubernetes/base"
    kustomization(DEPLOY / "kubernetes/overlays/example", set())
    manifests = {(part["kind"], part["metadata"]["name"]): part for path in base.glob("[!k]*.yaml") for part in read(path)}
    spec = manifests["StatefulSet", "calldex"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    must(set(ports.values()) == EXPOSED, "Kubernetes: the image's ports")
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod["terminationGracePeriodSeconds"]
    must(grace > LONGEST_CALL_S + pause + AFTER_DRAIN_S, "Kubernetes: the grace is above the longest call")
    must(grace > DRAIN_S + pause, "Kubernetes: the grace covers a drain")
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    must(all(probe["port"] == "admin" for probe in probes.values()), "Kubernetes: probes ask the admin door")
    must(probes["livenessProbe"]["path"] == "/healthz", "Kubernetes: a drain is no reason to kill")
    must(probes["readinessProbe"]["path"] == "/readyz", "Kubernetes: readiness is asked for")
    # The proxies must have been told before the instance stops to take calls.
    must(pause > container["readinessProbe"]["periodSeconds"] * 2, "Kubernetes: the pause is longer than two probes")
    service = manifests["Service", spec["serviceName"]]["spec"]
    must(service["clusterIP"] == "None" and service["publishNotReadyAddresses"], "Kubernetes: the headless service")
    for named in (service, manifests["Service", "calldex"]["spec"]):
        must(all(port["targetPort"] in ports for port in named["ports"]), "Kubernetes: services name the pod's ports")
    wanted = [f"calldex-{n}.{spec['serviceName']}:7946" for n in range(spec["replicas"])]
    must(environment["CALLDEX_CLUSTER__JOIN"].split(",") == wanted, "Kubernetes: all replicas are joined through")
    must(environment["CALLDEX_CLUSTER__ADVERTISE"].endswith(f".{spec['serviceName']}:7946"), "Kubernetes: advertise")
    volumes = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    must(set(mounts) == volumes, "Kubernetes: each volume is mounted")
    for variable, value in environment.items():
        if variable.endswith("_FILE"):
            secret = variable.removesuffix("_FILE")
            must(value == f"{mounts['secrets']}/{secret}" and secret in SECRETS, f"Kubernetes: {variable}")
    restricted = container["securityContext"]
    must(pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"], "Kubernetes: restricted")
    must(restricted["capabilities"]["drop"] == ["ALL"] and not restricted["allowPrivilegeEscalation"], "Kubernetes: restricted")
    must(restricted["readOnlyRootFilesystem"], "Kubernetes: nothing but the volume is written to")
    must(manifests["PodDisruptionBudget", "calldex"]["spec"]["maxUnavailable"] == 1, "Kubernetes: one at a time")


def fly():
    whole = tomllib.loads((DEPLOY / "fly.toml").read_text())
    must((DEPLOY / whole["build"]["dockerfile"]).exists(), "Fly: the Dockerfile")
    for argument in whole["build"]["args"]:
        must(f"ARG {argument}=" in (DEPLOY / "Dockerfile").read_text(), f"Fly: the Dockerfile takes no {argument}")
    must(DRAIN_S < seconds(whole["kill_timeout"]) <= 300, "Fly: the wait covers a drain, and is one that Fly grants")
    must(whole["mounts"][0]["destination"] == whole["env"]["CALLDEX_DATA"], "Fly: the data lies on the volume")
    asked = {whole["http_service"]["internal_port"], whole["checks"]["ready"]["port"], whole["metrics"]["port"]}
    must(asked <= EXPOSED, "Fly: the image's ports")
    must(whole["http_service"]["min_machines_running"] == 3, "Fly: three machines")


def proxies():
    """No proxy may cut a silent socket before the longest call is over."""
    haproxy = (DEPLOY / "haproxy/haproxy.cfg").read_text()
    nginx = (DEPLOY / "nginx/calldex.conf").read_text()
    (ingress,) = read(DEPLOY / "kubernetes/components/ingress-nginx/ingress.yaml")
    notes = ingress["metadata"]["annotations"]
    waits = {
        "haproxy: timeout tunnel": seconds(re.search(r"timeout tunnel (\w+)", haproxy)[1]),
        "haproxy: hard-stop-after": seconds(re.search(r"hard-stop-after (\w+)", haproxy)[1]),
        "ingress: proxy-read-timeout": int(notes["nginx.ingress.kubernetes.io/proxy-read-timeout"]),
        "ingress: proxy-send-timeout": int(notes["nginx.ingress.kubernetes.io/proxy-send-timeout"]),
    }
    for name in ("proxy_read_timeout", "proxy_send_timeout", "worker_shutdown_timeout"):
        hours, minutes = re.search(rf"{name}\s+(\d+)h(\d+)m;", nginx).groups()
        waits[f"nginx: {name}"] = int(hours) * 3600 + int(minutes) * 60
    for name, wait in waits.items():
        must(wait > LONGEST_CALL_S, f"{name} is shorter than the longest call")
    inter = re.search(r"inter (\d+)ms fastinter \d+ms downinter \d+ms fall (\d+)", haproxy)
    told = int(inter[1]) * int(inter[2])
    must(told < setting("drain_notice_ms"), "haproxy: a drain is seen before its notice is over")
    must("on-marked-down shutdown-sessions" in haproxy, "haproxy: a machine that is gone gives its calls back")


for part in (compose, kubernetes, fly, proxies):
    part()
print("\n".join(faults))
sys.exit(bool(faults))
