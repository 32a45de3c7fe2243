"""Whether docker/ and docker/kubernetes.yaml of a tree agree with themselves and each other.

    check.py TREE OUT

Prints a line for each thing that is wrong. The configurations inside of Kubernetes' objects are
written to OUT, for zoonet to judge. What schemas and linters can tell is left to those.
"""

import json
import re
import shlex
import sys
from pathlib import Path, PurePosixPath

import yaml

MOUNTED = "/etc/zoonet/zoonet.yaml"


def main(tree, out):
    image = dockerfile(tree)
    yield from image_problems(tree, image)
    yield from compose_problems(tree, image)
    yield from kubernetes_problems(tree, image, out)


def dockerfile(tree):
    """The instructions of the Dockerfile, in order: pairs of a word and the rest."""
    text = (tree / "docker/Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def last(image, word):
    return [rest for found, rest in image if found == word][-1]


def health_port(image):
    command = last(image, "HEALTHCHECK").split("CMD", 1)[1]
    return int(json.loads(command)[-1].rsplit(":", 1)[1])


def image_problems(tree, image):
    ignore = (tree / "docker/Dockerfile.dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    copied = set()
    for word, rest in image:
        if word == "COPY" and "--from" not in rest:
            copied.update(shlex.split(rest)[:-1])
    for path in sorted(copied):
        if not (tree / path).exists():
            yield f"Dockerfile: copies {path}, which is not there"
    if sent != copied:
        yield f"Dockerfile.dockerignore: lets {sorted(sent)} in, copied is {sorted(copied)}"
    user = last(image, "USER")
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user):
        yield f"Dockerfile: user {user} is not one that Kubernetes can tell from root"
    program = json.loads(last(image, "ENTRYPOINT"))[0]
    if json.loads(last(image, "HEALTHCHECK").split("CMD", 1)[1])[0] != program:
        yield f"Dockerfile: the health check does not run {program}"
    if json.loads(last(image, "CMD"))[-1] != MOUNTED:
        yield f"Dockerfile: the configuration is not {MOUNTED}"
    manifest = (tree / "Cargo.toml").read_text()
    floor = re.search(r'^rust-version = "(.*)"', manifest, re.M).group(1)
    release = re.search(r"^FROM rust:([\d.]+)-", (tree / "docker/Dockerfile").read_text(), re.M)
    numbers = [int(number) for number in release.group(1).split(".")]
    if numbers < [int(number) for number in floor.split(".")]:
        yield f"Dockerfile: Rust {release.group(1)} is older than {floor}"


def addresses(config):
    for ensemble in config["ensembles"].values():
        for kind in "servers", "prefer":
            for server in ensemble.get(kind, []):
                host, port = server.rsplit(":", 1)
                yield kind, host, port


def compose_problems(tree, image):
    services = yaml.safe_load((tree / "docker/compose.yaml").read_text())["services"]
    roles = {}
    for name, service in services.items():
        environment = service.get("environment", {})
        if "ZOO_SERVERS" in environment:
            yield from server_problems(name, environment, services, roles)
    ports = set()
    for name, service in services.items():
        others = list(service.get("depends_on", {}))
        if service.get("network_mode", "").startswith("service:"):
            others.append(service["network_mode"].split(":", 1)[1])
        for other in others:
            if other not in services:
                yield f"compose.yaml: {name} needs {other}, which is not there"
        if name.startswith("zoonet"):
            yield from sidecar_problems(tree, image, name, service, roles)
            for port in service["ports"]:
                if port in ports:
                    yield f"compose.yaml: {port} is published twice"
                ports.add(port)


def server_problems(name, environment, services, roles):
    if "srvr" not in environment["ZOO_4LW_COMMANDS_WHITELIST"].split(","):
        yield f"compose.yaml: {name} does not answer srvr"
    for server in environment["ZOO_SERVERS"].split():
        fields = re.fullmatch(r"server\.(\d+)=([^:]+):2888:3888(:observer)?;(\d+)", server)
        if not fields:
            yield f"compose.yaml: {name} has the server {server}"
            continue
        number, host, observer, port = fields.groups()
        if host not in services:
            yield f"compose.yaml: {name} knows {host}, which is not there"
        if host == name and number != environment["ZOO_MY_ID"]:
            yield f"compose.yaml: {name} is number {environment['ZOO_MY_ID']} and {number}"
        roles[host] = ("prefer" if observer else "servers", port)
    if name not in roles:
        yield f"compose.yaml: {name} is not among its own servers"


def sidecar_problems(tree, image, name, service, roles):
    mounts = dict(reversed(volume.split(":")[:2]) for volume in service["volumes"])
    file = tree / "docker" / mounts.get(MOUNTED, "none")
    if not file.is_file():
        yield f"compose.yaml: {name} mounts {file}, which is not there"
        return
    config = yaml.safe_load(file.read_text())
    for kind, host, port in addresses(config):
        if roles.get(host) != (kind, port):
            yield f"{file.name}: {host}:{port} under {kind} is {roles.get(host)} in compose.yaml"
    admin = int(config["admin"].rsplit(":", 1)[1])
    if admin != health_port(image):
        yield f"{file.name}: admin is {admin}, the health check asks {health_port(image)}"
    for port in service["ports"]:
        if int(port.rsplit(":", 1)[1]) != admin:
            yield f"compose.yaml: {name} publishes {port}, admin is {admin}"
    if not any(within(config["state"], mount) for mount in mounts):
        yield f"{file.name}: nothing is mounted for {config['state']}"
    if not service.get("read_only"):
        yield f"compose.yaml: {name} is not read-only"


def within(path, mount):
    return PurePosixPath(mount) in PurePosixPath(path).parents


def seconds(duration):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", duration).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def kubernetes_problems(tree, image, out):
    objects = yaml.safe_load_all((tree / "docker/kubernetes.yaml").read_text())
    by_kind = {found["kind"]: found for found in objects}
    text = by_kind["ConfigMap"]["data"]["zoonet.yaml"]
    (out / "kubernetes.yaml").write_text(text)
    config = yaml.safe_load(text)
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    sidecar = next(found for found in pod["initContainers"] if found["name"] == "zoonet")
    if sidecar.get("restartPolicy") != "Always":
        yield "kubernetes.yaml: the sidecar is an init container that has to end"
    mounts = {mount["mountPath"]: mount["name"] for mount in sidecar["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    at = mounts.get(str(PurePosixPath(MOUNTED).parent))
    if volumes.get(at, {}).get("configMap", {}).get("name") != by_kind["ConfigMap"]["metadata"]["name"]:
        yield f"kubernetes.yaml: {MOUNTED} is not of the ConfigMap"
    if any("subPath" in mount for mount in sidecar["volumeMounts"]):
        yield "kubernetes.yaml: what is mounted by subPath never changes"
    if not any(within(config["state"], mount) for mount in mounts):
        yield f"kubernetes.yaml: nothing is mounted for {config['state']}"
    admin = int(config["admin"].rsplit(":", 1)[1])
    ports = {port["name"]: port["containerPort"] for port in sidecar["ports"]}
    for probe in "startupProbe", "readinessProbe", "livenessProbe":
        asked = sidecar[probe]["httpGet"]
        if ports.get(asked["port"], asked["port"]) != admin:
            yield f"kubernetes.yaml: {probe} asks {asked['port']}, admin is {admin}"
        expected = "/healthz" if probe == "livenessProbe" else "/readyz"
        if asked["path"] != expected:
            yield f"kubernetes.yaml: {probe} asks {asked['path']}, not {expected}"
    scraped = by_kind["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    if scraped["prometheus.io/port"] != str(admin):
        yield "kubernetes.yaml: Prometheus is told another port than admin"
    context = sidecar["securityContext"]
    if f"{context['runAsUser']}:{context['runAsGroup']}" != last(image, "USER"):
        yield "kubernetes.yaml: the user is not the one of the image"
    if not (context["runAsNonRoot"] and context["readOnlyRootFilesystem"]):
        yield "kubernetes.yaml: the sidecar may do more than it needs"
    if seconds(config["grace_period"]) >= pod["terminationGracePeriodSeconds"]:
        yield "kubernetes.yaml: grace_period is not below terminationGracePeriodSeconds"
    application = next(iter(pod["containers"]))
    connect = {variable["name"]: variable["value"] for variable in application["env"]}
    if config["listen"] not in connect.values():
        yield f"kubernetes.yaml: the application does not connect to {config['listen']}"


for problem in main(Path(sys.argv[1]), Path(sys.argv[2])):
    print(problem)
