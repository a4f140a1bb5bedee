"""A Kubernetes API server with its own kubectl, and Helm. Their sources are Go modules, from which they are built.

There is no node: the server judges and keeps objects, and no container starts.
"""

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.documents import ROOT
from tests.kit.ports import free_port
from tests.waiting import wait_until

VERSION = "1.34.1"
HELM = "3.22.0"

PROGRAMS = ROOT / "build/kubernetes" / f"{VERSION}-{HELM}"
"""Where the programs are kept. Go's own cache keeps what they were compiled from."""

# Ten minutes of one core, and their modules come from the network.
BUILD_SECONDS = 3600

# The server is ready four seconds after its start on an idle machine.
START_SECONDS = 120
COMMAND_SECONDS = 60


def build_programs() -> Path:
    """The folder of kube-apiserver, kubectl and helm. They are built once."""
    PROGRAMS.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{PROGRAMS}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not PROGRAMS.exists():
            made = PROGRAMS.with_name(f"{PROGRAMS.name}.new")
            _build(made)
            made.rename(PROGRAMS)
    return PROGRAMS


def _build(folder: Path) -> None:
    module = PROGRAMS.with_name(f"{PROGRAMS.name}.module")
    _write_module(module)
    version = f"-X k8s.io/component-base/version.gitVersion=v{VERSION}"
    for name in ("kube-apiserver", "kubectl"):
        package = f"k8s.io/kubernetes/cmd/{name}"
        flags = ("-mod=mod", f"-ldflags=-s -w {version}", "-o", str(folder / name))
        _go("build", *flags, package, folder=module)
    _go("install", "-ldflags=-s -w", f"helm.sh/helm/v3/cmd/helm@v{HELM}", folder=module, bin=folder)


def _write_module(folder: Path) -> None:
    """A module from which Kubernetes can be built. Its own go.mod names folders beside it, which are no part of the
    module that is published, but modules of their own, with numbers that follow from its number."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(json.loads(_go("mod", "download", "-json", f"k8s.io/kubernetes@v{VERSION}", folder=folder))["Dir"])
    text = (source / "go.mod").read_text().replace("module k8s.io/kubernetes", "module kubernetes.test")
    text = re.sub(r"(k8s\.io/\S+) => \./staging/src/\1", rf"\1 => \1 v0.{VERSION.removeprefix('1.')}", text)
    (folder / "go.mod").write_text(f"{text}\nrequire k8s.io/kubernetes v{VERSION}\n")
    (folder / "go.sum").write_bytes((source / "go.sum").read_bytes())


def _go(*arguments: str, folder: Path, bin: Path | None = None) -> str:
    # Go is the machine's, or the one that scripts/toolchains has put into the environment of Python.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-trimpath"}
    if bin:
        environ["GOBIN"] = str(bin)
    done = subprocess.run(
        ["go", *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=BUILD_SECONDS
    )
    assert done.returncode == 0, f"go {' '.join(arguments)}: {done.stderr[-2000:]}"
    return done.stdout


@dataclass(frozen=True)
class Cluster:
    """A running API server. `config` is the kubeconfig of its administrator."""

    programs: Path
    config: Path

    @property
    def environ(self) -> dict[str, str]:
        return {
            "KUBECONFIG": str(self.config),
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            # Where kubectl and helm keep what they have learnt.
            "HOME": str(self.config.parent),
        }

    def run(self, *command: str, input: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl or helm."""
        return subprocess.run(
            command, env=self.environ, input=input, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )

    def must(self, *command: str, input: str = "") -> str:
        """The output of a command that has to succeed."""
        done = self.run(*command, input=input)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def run_cluster(folder: Path) -> Iterator[Cluster]:
    """An API server with its etcd, on ports of 127.0.0.1; both end with the context."""
    programs = build_programs()
    store, port = free_port(), free_port()
    _write_keys(folder)
    (folder / "tokens.csv").write_text("token,admin,1,system:masters\n")
    etcd = [f"--data-dir={folder}/etcd", *_at("listen-client", store), *_at("advertise-client", store)]
    etcd += [*_at("listen-peer", free_port())]
    server = [f"--etcd-servers=http://127.0.0.1:{store}", "--bind-address=127.0.0.1", f"--secure-port={port}"]
    server += [f"--cert-dir={folder}/certificates", "--service-account-issuer=https://kubernetes.default.svc"]
    server += [f"--service-account-key-file={folder}/key.pub", f"--service-account-signing-key-file={folder}/key"]
    server += ["--service-cluster-ip-range=10.96.0.0/16", f"--token-auth-file={folder}/tokens.csv"]
    # No controller makes the service accounts that pods have by default.
    server += ["--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"]
    started = []
    try:
        for argv in (["etcd", *etcd], [str(programs / "kube-apiserver"), *server]):
            with open(folder / f"{Path(argv[0]).name}.log", "wb") as log:
                started.append(subprocess.Popen(argv, stdout=log, stderr=log, cwd=folder))
        cluster = Cluster(programs, _write_config(folder, port))

        def is_ready() -> bool:
            for process in started:
                assert process.poll() is None, (folder / f"{Path(str(process.args[0])).name}.log").read_text()[-2000:]  # type: ignore[index]
            return cluster.run("kubectl", "get", "--raw=/readyz").stdout == "ok"

        wait_until(is_ready, "the API server is ready", START_SECONDS)
        yield cluster
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def _at(what: str, port: int) -> list[str]:
    return [f"--{what}-urls=http://127.0.0.1:{port}"]


def _write_keys(folder: Path) -> None:
    """The pair of keys with which the server signs tokens of service accounts."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding = serialization.Encoding.PEM
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key").write_bytes(key.private_bytes(encoding, *private))
    public = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pub").write_bytes(public)


def _write_config(folder: Path, port: int) -> Path:
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        # The server has made it itself.
        "certificate-authority": f"{folder}/certificates/apiserver.crt",
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": "token"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path
