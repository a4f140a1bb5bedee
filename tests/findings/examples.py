"""One finding of every code, made by the checks from facts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from lkhub.checks.agents import AgentProcess, HealthPort, check_agents, check_health_ports
from lkhub.checks.asker import check_asker
from lkhub.checks.calls import check_paths
from lkhub.checks.checks import (
    check_address,
    check_edited,
    check_pending,
    check_processes,
    check_supervised,
    check_upgrade,
)
from lkhub.checks.connections import check_connections
from lkhub.checks.disks import check_disks
from lkhub.checks.drift import EditedFile, check_drift, check_unit
from lkhub.checks.edge import check_edge, check_root
from lkhub.checks.kernel import check_kernel
from lkhub.checks.openid import check_openid
from lkhub.checks.paths import PathResult, WebResult
from lkhub.checks.redis import check_redis
from lkhub.checks.relay import check_relay
from lkhub.checks.router import check_router
from lkhub.checks.sends import check_sends
from lkhub.checks.sites import BuiltSite, check_sites
from lkhub.checks.store import check_store
from lkhub.checks.supervised import (
    check_hanging,
    check_known,
    check_linger,
    check_records,
    check_removed,
    check_selinux,
    check_started,
    check_taken,
    check_watchers,
)
from lkhub.checks.surroundings import Surroundings, check_surroundings
from lkhub.checks.web_findings import check_web
from lkhub.checks.webhooks import check_webhooks
from lkhub.findings.finding import Finding
from lkhub.firewall.table import FirewallRow, Verdict
from lkhub.inspect.given import GivenFile
from lkhub.inspect.judge.livekit_yaml import judge_livekit_yaml
from lkhub.plan.host import Disk, KernelLimits
from lkhub.plan.leads import Answerer, Lead
from lkhub.plan.model import Advertised
from lkhub.plan.served import Served
from lkhub.source.yaml import parse_document
from lkhub.spec.ports import PortRange
from lkhub.state.asker import AskerRecord
from lkhub.state.store import StoreRecord
from lkhub.state.webhooks import ReceiverRecord
from lkhub.store.owner import refuse
from lkhub.wire.control import PendingChange, Removal, RenewalFailure, WatcherFailure
from lkhub.wire.engine import AgentsStatus, ConfigMessage, RedisStatus, WaitingRoom
from tests.checks.called import OWN, PROXIED
from tests.reports import edge_status, hub_report, process_report, relay_status

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
AT = NOW.timestamp() - 60

HERE, PUBLIC, OTHER = map(ip_address, ("192.168.1.5", "1.2.3.4", "5.6.7.8"))


def list_examples() -> Iterator[Finding]:
    """The findings of the checks about facts in which everything is wrong."""
    yield from list_calls()
    yield from list_surroundings()
    yield from list_hub()
    yield from list_limits()
    yield from list_config()


def list_calls() -> Iterator[Finding]:
    good = PathResult("udp", True, "media", "", rtt_ms=1.0, loss=0.0)
    yield from check_paths([PathResult("udp", False, "connect", "no answer", reason="no-reply")], OWN)
    yield from check_paths([PathResult("tcp", None, "", "interrupted", reason="interrupted")], OWN)
    yield from check_paths([PathResult("udp", True, "media", "", rtt_ms=500.0, jitter_ms=60.0, lateness_ms=1.0)], OWN)
    yield from check_paths([PathResult("udp", True, "media", "", loss=0.05)], OWN)
    yield from check_paths([PathResult("turn-tls", True, "media", "", native=False, native_detail="its words")], OWN)
    untold = {"untold": "203.0.113.7:7882"}
    yield from check_paths([PathResult("udp", True, "media", "not from there", evidence=untold)], OWN)
    web = [
        WebResult("page", False, "https://rtc.example.com", "gateway", "HTTP 502"),
        WebResult("api", False, "https://rtc.example.com", "not-found", "HTTP 404"),
    ]
    yield from check_web(web, [good], PROXIED)
    front = [
        WebResult("page", True, "https://rtc.example.com"),
        WebResult("redirect", False, "http://rtc.example.com", "not-redirected", "HTTP 200", {"said": "page"}),
        WebResult("forwarded", False, "https://rtc.example.com", "no-forwarded-for", "none", {"client": "10.0.0.2"}),
    ]
    yield from check_web(front, [good], PROXIED)
    last = {"at": AT, "errno": "EPERM", "error": "operation not permitted", "to": "203.0.113.7:50000"}
    yield from check_sends(hub_report({"media": {"sends": {"row": 12, "last": last}}}), [], NOW)


def list_surroundings() -> Iterator[Finding]:
    told = (Advertised(PUBLIC, HERE),)
    answerers: tuple[Answerer, ...] = ("other", "hub")
    for answer in answerers:
        lead = Lead("rtc.example.com", elsewhere=(OTHER,), answers={OTHER: answer})
        yield from check_surroundings(Surroundings("public", (lead,), told))
    yield from check_surroundings(Surroundings("public", (Lead("rtc.example.com"),), told))
    cdn = (Advertised(ip_address("104.16.0.1"), HERE),)
    yield from check_surroundings(Surroundings("public", (), cdn))
    yield from check_surroundings(Surroundings("public", (), (Advertised(HERE, HERE),)))
    row = FirewallRow("udp", PortRange(7882, 7882), "media", "media", "media.udp", (), frozenset({4}))
    closed, unknown = Verdict(row, False, "policy drop"), Verdict(row, None, "it was not read")
    yield from check_surroundings(Surroundings("lan", verdicts=(closed,)))
    yield from check_surroundings(Surroundings("lan", verdicts=(unknown,)))
    yield from check_surroundings(Surroundings("lan", served=(Served(443, "https"), Served(8443, "tcp", kept=False))))
    yield from check_address("192.168.1.5 is gone, and 192.168.1.6 is there")
    yield from check_router(RenewalFailure("it does not answer", AT - 600, AT), NOW)


def list_hub() -> Iterator[Finding]:
    yield from check_processes([process_report(state="backoff")], {"media": "exit 1"})
    yield from check_hanging({"relay": "no answer for 20 s"}, {"relay": 4711})
    yield from check_pending(True, PendingChange(("media",), 2, new=("agent-bob",), gone=("relay",)))
    yield from check_pending(True, PendingChange(("media",), 1, retired=(4711,)))
    yield from check_pending(True, PendingChange(("relay",), 2, ("relay",), programs=True))
    yield from check_redis(RedisStatus("dial tcp 127.0.0.1:6379: connect: connection refused"))
    yield from check_edited("hub.yaml")
    text = "port: 7880\nredis:\n  password: "
    yield from check_drift([EditedFile("/s/livekit.yaml", "/s/livekit.yaml.edited", f"{text}b\nnew: 1", f"{text}a")])
    yield from check_upgrade("/opt/lkhub/0.1.0-3f2a9c01", "/opt/lkhub/0.2.0-9d8c7b6a", "sudo /usr/local/bin/lkhub")
    edited = EditedFile("/opt/lkhub/units/lkhub.service", "/s/lkhub.service", "[Service]\nNice=5\n", "[Service]\n")
    yield from check_unit(
        "/s/lkhub.service", edited, None, control="systemctl", lkhub="sudo /usr/local/bin/lkhub", own=False
    )
    yield from check_known("/home/ann/.local/state/lkhub does not exist", "sudo /usr/local/bin/lkhub status")
    yield from check_linger("ann")
    yield from check_started(without_systemd=True)
    denied = [("/opt/lkhub/current", "unconfined_u:object_r:user_home_t:s0")]
    yield from check_selinux(denied, "/opt/lkhub", "systemctl")
    yield from check_supervised(False, ["media"])
    yield from check_removed(Removal(AT, ("media",)))
    yield from check_records({"media": "No space left on device"}, {})
    yield from check_disks((Disk("/var/lib/lkhub", 300 << 20, 40 << 30),))
    yield from check_watchers({"rotate logs": WatcherFailure("No space left on device", AT)})
    yield from check_webhooks(
        (
            ReceiverRecord("https://app.example.com/hook", 12, 0, AT - 3600, "answered 401"),
            ReceiverRecord("https://other.example.com/", 0, 3),
        ),
        datetime.fromtimestamp(AT, UTC),
    )
    failed = BuiltSite("bmo", "it ended with exit code 1", ("src/main.ts: Unexpected token",))
    soon = BuiltSite("bmo", key="API1", key_state="current", until=AT + 86400, due=True)
    yield from check_sites((failed, soon, BuiltSite("other", key="API0", key_state="retiring")), NOW)
    yield from list_agents()
    yield from check_openid(AT, "the OpenID provider can't be reached")
    file = "/var/lib/lkhub/store.db"
    yield from check_store(StoreRecord("", AT, "foreign", str(refuse("app-2"))))
    yield from check_store(StoreRecord(file, AT, "full", f"the store has no space left: {file}"))
    yield from check_asker(AskerRecord(AT, "www", True, 9, "nginx", ("*:80",)), AT - 1)
    edge = edge_status(
        pending=["rtc.example.com"],
        failures=[{"name": "turn.example.com", "issuer": "acme", "kind": "dns", "error": "no such name"}],
        certificates=[{"names": ["a.example"], "issuer": "CN=R3", "not_after": f"{NOW - timedelta(1):%FT%TZ}"}],
    )
    yield from check_edge(edge, NOW)
    yield from check_root(AT, "192.168.1.6 is new", NOW)
    yield from check_taken({"edge": "the key is of another certificate"})


def list_agents() -> Iterator[Finding]:
    now = NOW.timestamp()
    waiting = (
        WaitingRoom("lobby", "bmo", "no-worker", AT),
        WaitingRoom("lobby", "", "full", AT),
        WaitingRoom("team", "", "full", AT),
        WaitingRoom("lobby", "shy", "refused", AT),
        WaitingRoom("lobby", "broken", "failing", AT),
    )
    processes = (
        AgentProcess("agent-bmo", AT),
        AgentProcess("agent-new", AT, installing=True),
        AgentProcess("agent-first", AT, failure="can't install its dependencies: uv ended with exit code 1"),
        AgentProcess("agent-next", AT, failure="can't copy /srv/next: no space left on device", replaces=True),
        AgentProcess("agent-open", now, exposed=(8081,)),
        AgentProcess("agent-contained", AT, contained=True),
    )
    yield from check_agents(processes, AgentsStatus(waiting=waiting), now)
    yield from check_health_ports(
        (
            HealthPort("agent-late", 8082, taken=True),
            HealthPort("agent-seen", 8083, exposed=True),
            HealthPort("agent-image", 8084, exposed=True, known=False),
        )
    )


def list_limits() -> Iterator[Finding]:
    ports = {
        "held": 90,
        "size": 100,
        "range": 100,
        "most": {"address": "203.0.113.7", "held": 60},
        "refused": {"address": {"at": AT, "count": 3, "address": "203.0.113.7"}},
    }
    yield from check_relay(relay_status(ports=ports), None, "off", NOW)
    yield from check_kernel(KernelLimits(212992, 212992, 1024, 65000, 65536))
    refusal = {"at": AT, "client": "203.0.113.7", "held": 448, "full": False}
    report = {"open": 500, "limit": 900, "refused": 7, "refusal": refusal}
    failure = {"failure": {"at": AT, "error": "too many open files"}}
    told = {
        "processes": [{"name": "media", "pid": 42}],
        "media": {"connections": {"ice_tcp": report}},
        "edge": {"connections": failure},
    }
    yield from check_connections(hub_report(told), NOW)


def list_config() -> Iterator[Finding]:
    """Of a livekit.yaml in which everything is wrong, as the parser tells it."""
    text = "rtc: {udpport: 1}\nport: x\nturn: {tls_port: 1}\nkeys: {a: b}\nnode: $IP\n"
    told = {"unknown-key": 1, "wrong-type": 2, "no-turn-domain": 3, "weak-key": 4, "bad-value": 5, "no-keys": None}
    file = GivenFile("livekit.yaml", text)
    document = parse_document(text.encode(), file.path)
    known = ("tcp_port", "udp_port")
    messages = [ConfigMessage(code, line, "in the parser's words", known) for code, line in told.items()]
    yield from judge_livekit_yaml(file, document, messages).findings
    broken = GivenFile("broken.yaml", "\t")
    yield from judge_livekit_yaml(
        broken, parse_document(b"", broken.path), [ConfigMessage("syntax", 1, "a tab")]
    ).findings
