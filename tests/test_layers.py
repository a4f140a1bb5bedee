"""The direction of imports: errors ← findings ← source ← spec ← plan ← firewall, render; host acts; checks judge; hub
gathers; supervise and service are independent; cli may import all, and no package imports it. Each package says which
packages it may import, and why no others. Only direct imports are checked, so every failure names the line to move.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import grimp
import pytest

# Modules that touch the machine. Packages that decide or judge get facts passed in.
MACHINE = (
    "anyio",
    "asyncio",
    "fcntl",
    "httpcore",
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
class Package:
    """A package or module of lkhub: the others that it may import, and why. `pure`: it imports nothing of MACHINE.
    `allowed`: single further imports of its modules."""

    may: tuple[str, ...]
    reason: str
    pure: bool = True
    allowed: frozenset[tuple[str, str]] = field(default_factory=frozenset)


TEXT = ("errors", "shown", "secret", "source")
SPEC = (*TEXT, "findings", "spec")
PLAN = (*SPEC, "plan")

PACKAGES = {
    "errors": Package((), "errors are below everything"),
    "shown": Package((), "how foreign text is shown is below everything"),
    "secret": Package((), "what hides itself is below everything"),
    "trust": Package((), "words about devices depend on no hub"),
    "agent_launcher": Package((), "it runs in an agent's environment, which has no lkhub", pure=False),
    "receiver_addresses": Package((), "the spec is judged by the rule that deliveries are judged by"),
    "findings": Package(
        ("errors", "shown"), "what is wrong is data, whatever found it, and a text that can't be read is"
    ),
    "source": Package(
        ("errors", "shown", "findings"),
        "reading text knows nothing of what the text is about",
        # Threads may read a class for the first time at once.
        allowed=frozenset({("lkhub.source.typed", "threading")}),
    ),
    "spec": Package((*TEXT, "findings"), "what the operator wants does not depend on what follows"),
    "plan": Package(
        (*SPEC, "receiver_addresses"),
        "a plan is decided from a spec and facts, and knows no file format",
        # What is planned for applications is for the service alone: it is decided as the message that the service gets.
        allowed=frozenset(
            {(f"lkhub.plan.{name}", "lkhub.wire.application") for name in ("application", "model", "sites")}
        )
        # So is the build of a site, for the process that builds it.
        | frozenset(
            {(f"lkhub.plan.{name}", "lkhub.wire.site_build") for name in ("container", "model", "processes", "sites")}
        ),
    ),
    "firewall": Package(PLAN, "a firewall is judged by what it says, and never looked at from here"),
    "env_files": Package(TEXT, "a file of an application is text, edited without a hub"),
    "bandwidth": Package(("source",), "a bandwidth plan is a calculation, and knows no hub"),
    "render": Package((*PLAN, "firewall", "wire", ""), "a renderer shows a plan and decides nothing"),
    "livekit": Package((*TEXT, "host"), "LiveKit's interface needs a key and a clock, and no plan", pure=False),
    "log_lines": Package((*TEXT, "livekit"), "a line of a log is read without a hub", pure=False),
    "wire": Package((*TEXT, ""), "a message is data, and says which lkhub it is of"),
    "state": Package(
        (*PLAN, "firewall", "host"),
        "a record is data, and read and written in one place; of the machine it needs files",
        pure=False,
        allowed=frozenset(
            {
                ("lkhub.state.verified", "lkhub.checks.paths"),
                ("lkhub.state.router", "lkhub.wire.portmap"),
                ("lkhub.state.site_build", "lkhub.wire.site_build"),
            }
        ),
    ),
    "host": Package(
        (*PLAN, "firewall", "state", "wire", ""),
        "the machine is touched for others: host knows their data, not their decisions",
        pure=False,
    ),
    "prepare": Package(
        (*PLAN, "firewall", "render", "state", "host", ""), "preparing a hub starts nothing", pure=False
    ),
    "checks": Package(
        (*PLAN, "firewall", "livekit", "wire"),
        "facts are gathered once, as other processes tell them, and judged purely",
    ),
    "inspect": Package((*TEXT, "findings", "wire"), "anyone's files are judged by what they say, and never followed"),
    "hub": Package(
        (*PLAN, "firewall", "livekit", "wire", "state", "host", "prepare", "checks", "inspect", "env_files", ""),
        "what is known of a hub is for commands, the service and the dashboard: it knows none of them, and asks the "
        "supervisor by its control socket",
        pure=False,
        # Processes that run without a supervisor can't be asked for by its control socket.
        allowed=frozenset({("lkhub.hub.running", "lkhub.supervise.left")}),
    ),
    "supervise": Package(
        (*TEXT, "findings", "plan", "livekit", "log_lines", "wire", "state", "host", "prepare", ""),
        "keeping processes alive must not depend on diagnosis, on the service or on a terminal",
        pure=False,
    ),
    "store": Package((*TEXT, ""), "a row is data: what it means is decided where it is used", pure=False),
    "service": Package(
        (*TEXT, "livekit", "wire", "host", "store", "trust", "receiver_addresses", ""),
        "what strangers talk to reads its configuration and its key file, and nothing else",
        pure=False,
        allowed=frozenset(
            {
                ("lkhub.service.refusals", "lkhub.render.message_page"),
                ("lkhub.service.askers", "lkhub.state.asker"),
                ("lkhub.service.webhooks.hooks", "lkhub.state.webhooks"),
                ("lkhub.service.oidc.state", "lkhub.state.openid"),
                ("lkhub.service.store_state", "lkhub.state.store"),
            }
        ),
    ),
}


@dataclass(frozen=True)
class Rule:
    """Modules below `packages` import nothing of `forbidden`, except where `allowed` names the import."""

    packages: tuple[str, ...]
    forbidden: tuple[str, ...]
    reason: str
    allowed: frozenset[tuple[str, str]] = field(default_factory=frozenset)


RULES = (
    Rule(
        (
            *("lkhub.supervise", "lkhub.service", "lkhub.checks", "lkhub.prepare"),
            *("lkhub.hub.apply", "lkhub.cli.up", "lkhub.cli.shared.foreground", "lkhub.cli.shared.detached"),
        ),
        ("lkhub.host.firewall", "lkhub.host.router", "lkhub.cli.firewall"),
        "a firewall is opened when the user says so, and never by the way",
        # The router's mappings expire: the supervisor renews those that the user requested.
        frozenset({("lkhub.supervise.watch.router", "lkhub.host.router")}),
    ),
    Rule(("lkhub.plan",), ("ruamel", "json", "yaml"), "a plan knows no file format"),
    Rule(("lkhub.render",), ("lkhub.spec.load", "lkhub.plan.build"), "a renderer shows a plan and decides nothing"),
    Rule(
        ("lkhub.host", "lkhub.hub"),
        ("lkhub.plan.build", "lkhub.plan.address", "lkhub.plan.ports"),
        "the machine is touched for others: host knows their data, not their decisions",
    ),
    Rule(
        ("lkhub.livekit",),
        ("lkhub.host", "os", "socket", "subprocess"),
        "LiveKit's interface is HTTP and signatures",
        frozenset({("lkhub.livekit.rooms", "lkhub.host.http")}),
    ),
    Rule(
        ("lkhub.service",),
        (
            "lkhub.host.engine",
            "lkhub.host.files",
            "lkhub.host.network",
            "lkhub.host.ports",
            "lkhub.host.processes",
            "subprocess",
        ),
        "what strangers talk to reads its configuration and its key file, and nothing else",
    ),
    Rule(
        tuple(f"lkhub.{name}" for name in PACKAGES),
        ("typer", "rich", "segno"),
        "nothing below the command line prints",
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


def package_of(module: str) -> str:
    """ "" for `lkhub` itself, which has the version."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("name", PACKAGES)
def test_package_imports_only_what_it_may(name: str, graph: grimp.ImportGraph) -> None:
    package = PACKAGES[name]
    broken = [
        f"{module} imports {imported}"
        for module, imported in list_imports(graph, (f"lkhub.{name}",))
        if (is_below(imported, "lkhub") and package_of(imported) not in (name, *package.may))
        or (package.pure and any(is_below(imported, outside) for outside in MACHINE))
        if (module, imported) not in package.allowed
    ]
    assert not broken, f"{package.reason}: {broken}"


def test_every_package_has_its_rule(graph: grimp.ImportGraph) -> None:
    """The command line may import all packages, and no package may import it."""
    assert {package_of(module) for module in graph.modules if is_below(module, "lkhub")} == {
        *PACKAGES,
        "",
        "cli",
        "__main__",
    }
    assert not any("cli" in package.may for package in PACKAGES.values())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.packages[-1]}-not-{rule.forbidden[0]}")
def test_layer_does_not_import_what_is_not_its_business(rule: Rule, graph: grimp.ImportGraph) -> None:
    broken = [
        f"{module} imports {imported}"
        for module, imported in list_imports(graph, rule.packages)
        if any(is_below(imported, forbidden) for forbidden in rule.forbidden) and (module, imported) not in rule.allowed
    ]
    assert not broken, f"{rule.reason}: {broken}"


def test_records_need_nothing_of_the_machine_but_files(graph: grimp.ImportGraph) -> None:
    """A process on record is named as host names it."""
    used = {imported for _, imported in list_imports(graph, ("lkhub.state",)) if is_below(imported, "lkhub.host")}
    assert used <= {"lkhub.host.files", "lkhub.host.state_directory", "lkhub.host.processes"}
    assert {
        module for module, imported in list_imports(graph, ("lkhub.state",)) if imported == "lkhub.host.processes"
    } <= {"lkhub.state.identity"}


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
    """This process runs as long as the hub does, and starts with it: its imports always cost memory and time."""
    carried = graph.find_upstream_modules("lkhub.service", as_package=True)
    carried |= graph.find_upstream_modules("lkhub.cli.serve")
    unused = (
        "lkhub.findings",
        "lkhub.plan",
        "lkhub.prepare.hub",
        "lkhub.spec",
        "lkhub.supervise",
        "lkhub.checks",
        "psutil",
        "ruamel",
    )
    found = {module for module in carried for package in unused if is_below(module, package)}
    assert found <= {"lkhub.spec", "lkhub.secret"}


def test_only_the_document_reader_knows_yaml(graph: grimp.ImportGraph) -> None:
    """Reading YAML safely (size, depth, secrets in messages) is hard enough to do in one place."""
    importers = {
        module
        for module in graph.modules
        if "ruamel" in graph.find_modules_directly_imported_by(module) and module != "ruamel"
    }
    assert importers == {"lkhub.source.yaml"}


def test_httpx_is_loaded_in_one_place(graph: grimp.ImportGraph) -> None:
    """Loaded by another module, it would also load its own command line."""
    assert graph.find_modules_that_directly_import("httpx") == {"lkhub.host.http"}


def test_a_plan_is_known_without_a_parser(graph: grimp.ImportGraph) -> None:
    """Its model names keys of the spec, and most commands load the model: 30 ms each."""
    assert "ruamel" not in graph.find_upstream_modules("lkhub.plan.model")


def test_secrets_of_a_spec_are_read_in_one_place(graph: grimp.ImportGraph) -> None:
    """Whatever the model says is a secret is found and read there: see the recipe of a secret in CONTRIBUTING.md."""
    assert graph.find_modules_that_directly_import("lkhub.host.secrets") == {
        "lkhub.prepare.secrets",
        "lkhub.prepare.hub",  # for those that the hub makes itself
        "lkhub.prepare.managed_keys",  # for the API keys among them
        "lkhub.host.variables",  # for the environment of a process, at its start
    }
    assert graph.find_modules_that_directly_import("lkhub.spec.references") == {
        "lkhub.prepare.secrets",
        "lkhub.spec.load",  # for what a fault must not repeat
        "lkhub.spec.places",  # for the files that it names, and reads none of them
        "lkhub.plan.build",  # for what a service manager has to pass on
        "lkhub.hub.backup",  # for files that the spec names, which are backed up with it, and what is not
    }


def test_only_host_and_the_supervisor_start_processes(graph: grimp.ImportGraph) -> None:
    importers = graph.find_modules_that_directly_import("subprocess")
    assert importers <= {
        "lkhub.host.agents",
        "lkhub.host.another",
        "lkhub.host.build",
        "lkhub.host.commands",
        "lkhub.host.engine",
        "lkhub.host.lookup",
        "lkhub.host.processes",
        "lkhub.host.sealed",
        "lkhub.host.session",
        "lkhub.hub.probe",
        # For the type of a process that host started.
        "lkhub.supervise.child",
        "lkhub.supervise.predecessors",
        "lkhub.supervise.retired",
        "lkhub.supervise.shared",
        "lkhub.supervise.spawn",
    }
