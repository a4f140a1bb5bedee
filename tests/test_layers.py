"""The direction of imports: errors ← spec ← plan ← render ← host ← supervise, health, service ← cli.

Each rule says what must not be imported by what, and why. Only direct imports are looked at, so every
failure names the line to move.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pkgutil import iter_modules

import grimp
import pytest

from lkhub import health

MACHINE = (
    "anyio",
    "asyncio",
    "fcntl",
    "httpx",
    "multiprocessing",
    "os",
    "psutil",
    "pwd",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
)


@dataclass(frozen=True)
class Rule:
    """Modules below `packages` import nothing of `forbidden`, except where `allowed` names the import."""

    packages: tuple[str, ...]
    forbidden: tuple[str, ...]
    reason: str
    allowed: frozenset[tuple[str, str]] = field(default_factory=frozenset)


PURE = ("lkhub.errors", "lkhub.spec", "lkhub.plan", "lkhub.render", "lkhub.trust")

# These call the hub. All else in there judges.
PROBES = {"verify", "web", "web_front"}
JUDGES = tuple(f"lkhub.health.{module.name}" for module in iter_modules(health.__path__) if module.name not in PROBES)

RULES = (
    Rule(
        (
            *("lkhub.supervise", "lkhub.service", "lkhub.health", "lkhub.prepare"),
            *("lkhub.cli.up", "lkhub.cli.foreground", "lkhub.cli.detached"),
        ),
        ("lkhub.host.firewall", "lkhub.host.router", "lkhub.cli.firewall"),
        "a firewall is opened when the user says so, and never by the way",
        # The router's mappings end by themselves: it renews those that the user asked for.
        frozenset({("lkhub.supervise.router", "lkhub.host.router")}),
    ),
    Rule(PURE, MACHINE, "what is decided must not depend on the machine: only facts that are passed in"),
    Rule(
        PURE,
        ("lkhub.host", "lkhub.supervise", "lkhub.health", "lkhub.service", "lkhub.prepare", "lkhub.tokens"),
        "the core knows nothing of those who use it",
    ),
    Rule(("lkhub.errors",), ("lkhub.spec", "lkhub.plan", "lkhub.render"), "errors are below everything"),
    Rule(("lkhub.spec",), ("lkhub.plan", "lkhub.render"), "what the operator wants does not depend on what follows"),
    Rule(("lkhub.plan",), ("lkhub.render", "ruamel", "json", "yaml"), "a plan knows no file format"),
    Rule(("lkhub.render",), ("lkhub.spec.load", "lkhub.plan.build"), "a renderer shows a plan and decides nothing"),
    Rule(
        ("lkhub.host",),
        (
            "lkhub.plan.build",
            "lkhub.plan.address",
            "lkhub.plan.ports",
            "lkhub.render",
            "lkhub.supervise",
            "lkhub.health",
            "lkhub.service",
            "lkhub.prepare",
            "lkhub.tokens",
        ),
        "the machine is touched for others: host knows their data, not their decisions",
    ),
    Rule(
        ("lkhub.tokens",),
        ("lkhub.host", "lkhub.plan", "lkhub.render", "lkhub.service", "os", "socket", "subprocess"),
        "signing a token needs a key and a clock",
    ),
    Rule(
        ("lkhub.supervise",),
        ("lkhub.health", "lkhub.service", "lkhub.render", "lkhub.spec", "rich", "typer"),
        "keeping processes alive must not depend on diagnosis, on the service or on a terminal",
    ),
    Rule(
        JUDGES,
        ("lkhub.host", "lkhub.supervise", *MACHINE),
        "facts are gathered once and judged purely",
    ),
    Rule(
        ("lkhub.health",),
        ("lkhub.supervise", "lkhub.service", "lkhub.prepare", "lkhub.render", "lkhub.plan.build", "rich", "typer"),
        "process states are passed in, and findings are data",
    ),
    Rule(
        ("lkhub.service",),
        (
            "lkhub.supervise",
            "lkhub.health",
            "lkhub.prepare",
            "lkhub.plan",
            "lkhub.spec",
            "lkhub.host.engine",
            "lkhub.host.files",
            "lkhub.host.node",
            "lkhub.host.ports",
            "lkhub.host.processes",
            "subprocess",
        ),
        "what strangers talk to reads its configuration and its key file, and nothing else",
    ),
    Rule(
        ("lkhub.prepare",),
        ("lkhub.supervise", "lkhub.health", "lkhub.service"),
        "preparing a hub starts nothing",
    ),
    Rule(
        (*PURE, "lkhub.host", "lkhub.supervise", "lkhub.health", "lkhub.service", "lkhub.prepare", "lkhub.tokens"),
        ("lkhub.cli", "typer", "rich", "segno"),
        "the command line is the outermost layer: nobody needs it, and nobody below prints",
    ),
)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("lkhub", include_external_packages=True, cache_dir=None)


def is_below(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def list_imports(graph: grimp.ImportGraph, packages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for module in sorted(graph.modules):
        if any(is_below(module, package) for package in packages):
            for imported in sorted(graph.find_modules_directly_imported_by(module)):
                yield module, imported


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.packages[-1]}-not-{rule.forbidden[0]}")
def test_layer_does_not_import_what_is_not_its_business(rule: Rule, graph: grimp.ImportGraph) -> None:
    broken = [
        f"{module} imports {imported}"
        for module, imported in list_imports(graph, rule.packages)
        if any(is_below(imported, forbidden) for forbidden in rule.forbidden) and (module, imported) not in rule.allowed
    ]
    assert not broken, f"{rule.reason}: {broken}"


def test_every_rule_speaks_of_packages_that_exist(graph: grimp.ImportGraph) -> None:
    named = {name for rule in RULES for name in (*rule.packages, *rule.forbidden) if is_below(name, "lkhub")}
    assert named <= graph.modules


def test_no_two_modules_import_each_other(graph: grimp.ImportGraph) -> None:
    own = [module for module in graph.modules if is_below(module, "lkhub")]
    circles = [
        (module, imported)
        for module in own
        for imported in graph.find_modules_directly_imported_by(module)
        if is_below(imported, "lkhub") and graph.chain_exists(importer=imported, imported=module)
    ]
    assert not circles


def test_service_carries_nothing_that_makes_a_plan(graph: grimp.ImportGraph) -> None:
    """It runs as long as the hub does, and starts with it: what it imports costs memory and time for good."""
    carried = graph.find_upstream_modules("lkhub.service", as_package=True)
    carried |= graph.find_upstream_modules("lkhub.cli.serve")
    unused = ("lkhub.plan", "lkhub.prepare", "lkhub.spec", "lkhub.supervise", "lkhub.health", "psutil", "ruamel")
    found = {module for module in carried for package in unused if is_below(module, package)}
    assert found <= {"lkhub.spec", "lkhub.spec.secret"}


def test_only_the_document_reader_and_a_renderer_know_yaml(graph: grimp.ImportGraph) -> None:
    """Reading YAML safely (size, depth, secrets in messages) is hard enough to do in one place."""
    importers = {
        module
        for module in graph.modules
        if "ruamel" in graph.find_modules_directly_imported_by(module) and module != "ruamel"
    }
    assert importers <= {"lkhub.spec.reader", "lkhub.render.livekit"}


def test_httpx_is_loaded_in_one_place(graph: grimp.ImportGraph) -> None:
    """Loaded elsewhere it brings its own command line along."""
    assert graph.find_modules_that_directly_import("httpx") == {"lkhub.host.http"}


def test_a_plan_is_known_without_a_parser(graph: grimp.ImportGraph) -> None:
    """Its model names keys of the spec, and most commands know the model: 30 ms each."""
    assert "ruamel" not in graph.find_upstream_modules("lkhub.plan.model")


def test_only_host_and_the_supervisor_start_processes(graph: grimp.ImportGraph) -> None:
    importers = graph.find_modules_that_directly_import("subprocess")
    assert importers <= {
        "lkhub.host.commands",
        "lkhub.host.engine",
        "lkhub.host.lookup",
        "lkhub.host.processes",
        "lkhub.health.verify",
        "lkhub.supervise.child",  # for the type of what host started
    }
