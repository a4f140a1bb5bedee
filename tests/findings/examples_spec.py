"""One finding of every code about a spec, by reading and preparing it: faults, choices, the operator's certificate."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from lkhub.findings.fault import SpecError
from lkhub.findings.finding import Finding
from lkhub.host.certificates import judge_certificate
from lkhub.host.tailscale import TailscaleFacts, judge_tailscale
from lkhub.plan.build import build_plan
from lkhub.plan.network import LookedUp, NetworkFacts
from lkhub.prepare.hub import PreparedHub
from lkhub.spec.load import load_spec
from tests.certificates import NOW, Made, dump_key, make
from tests.host.conftest import INTERMEDIATE, NAME
from tests.host.test_certificates import CLIENT, DAY, ENDED, leaf
from tests.machines import LOOPBACK, MACHINES, make_facts, make_installation

TOKEN = "{token: {room: bmo-room, identity: bmo-user}}"

# The errors of LiveKit's parser for lines of these examples.
COMPLAINTS = {"log_level: loud": "unrecognized level: loud"}

FAULTY: tuple[tuple[str, NetworkFacts], ...] = (
    ("- a list", make_facts()),
    ("web: 1\nweb: 2", make_facts()),
    ("wep: 1", make_facts()),
    ("reach: near", make_facts()),
    ("livekit: {port: 7880}", make_facts()),
    ("reach: public", MACHINES["vps"]),
    ("tls: {cert: a.pem}", make_facts()),
    ("tls: {mode: acme}", make_facts()),
    ("media: {signal: 8080}", make_facts()),
    ("reach: lan", make_facts(LOOPBACK)),
    ("reach: lan\nmedia: {advertise: 192.168.9.9}", make_facts()),
    ("reach: public\ndomain: rtc.example.com", MACHINES["home-unnamed"]),
    ("stun: [127.0.0.1:7882]", make_facts()),
)

CHOOSING: tuple[tuple[str, NetworkFacts], ...] = (
    ("media: {udp: [7882, 7892], tcp: off}", make_facts()),
    ("redis: redis://db.example.com", make_facts()),
    ("reach: lan\ntls: {mode: off}", make_facts()),
    ("reach: lan", MACHINES["two-lans"]),
    ("reach: public\ndomain: rtc.example.com", replace(MACHINES["home-dual"], looked_up=LookedUp(domain=()))),
    ("reach: public\ndomain: rtc.example.com\nmedia: {advertise: {stun: stun.example:3478}}", MACHINES["home-unseen"]),
    ("reach: lan\ndomain: rtc.example.com\ntls: {mode: external}", make_facts()),
    ("reach: lan\nkeys: {source: dev}", make_facts()),
    ("rooms: [{match: x, codecs: [vp8]}]", make_facts()),
    ("agents: [{name: bmo, project: bmo}]", make_facts()),
)


def list_faults(prepare: Callable[[str], PreparedHub]) -> Iterator[Finding]:
    """The faults of specs that each have one kind of fault. `prepare` raises SpecError."""
    for text, network in FAULTY:
        loaded = load_spec(text.encode())
        build_plan(loaded, network, make_installation())
        yield from loaded.faults
    site = "reach: lan\nsites: [{name: bmo, root: no-such, port: 3001}]"
    for text in ("engine: /no/such", "keys: {source: {file: no.keys}}", "livekit: {log_level: loud}", site):
        try:
            prepare(text)
        except SpecError as error:
            yield from error.faults


def list_choices(apply: Callable[[str], PreparedHub]) -> Iterator[Finding]:
    """The notes of plans about their choices. `apply` also writes the rendered files."""
    for text, network in CHOOSING:
        plan = build_plan(load_spec(text.encode()), network, make_installation())
        assert plan
        yield from plan.findings
    here = Path(__file__).parent
    built = f"reach: lan\nsites: [{{name: bmo, root: {here}/dist, port: 3001, build: make, env: {{T: {TOKEN}}}}}]"
    plan = build_plan(load_spec(built.encode()), make_facts(), make_installation())
    assert plan
    yield from (*plan.notes[-1:], *plan.warnings)
    apply("reach: lan\ndomain: a.example.com")
    moved = apply("reach: lan\ndomain: b.example.com")
    yield from (finding for finding in moved.plan.findings if finding.subject == "root")


def list_tailnet() -> Iterator[Finding]:
    """A fault for each reason why Tailscale gives no certificate."""
    up = TailscaleFacts("/t.sock", state="Running", name="a.t1.ts.net", domains=("a.t1.ts.net",), may_fetch=True)
    for facts in (
        TailscaleFacts("/t.sock", "refused"),
        TailscaleFacts("/t.sock", "silent"),
        replace(up, may_fetch=False),
        replace(up, state="Stopped"),
        replace(up, has_interface=False),
        replace(up, domains=()),
    ):
        yield from judge_tailscale(facts, None, "ann")
    yield from judge_tailscale(up, "b.t1.ts.net", "ann")


def list_files(folder: Path) -> Iterator[Finding]:
    """The faults of certificate and key files, each with a different error."""
    good, cert, key = leaf(), folder / "fullchain.pem", folder / "privkey.pem"

    def judge(*chain: Made, key_text: str = "", cert_text: str = "") -> Iterator[Finding]:
        cert.write_text(cert_text or "".join(made.pem for made in chain))
        key.write_text(key_text or chain[0].key_pem)
        yield from judge_certificate(str(cert), str(key), (NAME,), NOW)

    yield from judge_certificate(str(folder / "no.pem"), str(folder / "no.key"), (NAME,), NOW)
    yield from judge(good, cert_text="nonsense")
    yield from judge(good, cert_text=f"{good.pem[:100]}\n-----END CERTIFICATE-----\n")
    yield from judge(good, INTERMEDIATE, key_text="nonsense")
    yield from judge(good, INTERMEDIATE, key_text=dump_key(good.key, b"secret"))
    yield from judge(good, INTERMEDIATE, key_text=f"{good.key_pem[:60]}\n-----END PRIVATE KEY-----\n")
    yield from judge(good, INTERMEDIATE, key_text=leaf().key_pem)
    yield from judge(make(NAME, INTERMEDIATE), INTERMEDIATE)
    yield from judge(leaf("www.example.org"), INTERMEDIATE)
    yield from judge(leaf(usages=[CLIENT]), INTERMEDIATE)
    yield from judge(leaf(valid=ENDED), INTERMEDIATE)
    yield from judge(leaf(valid=(NOW + DAY, NOW + 90 * DAY)), INTERMEDIATE)
    yield from judge(leaf(valid=(NOW - 80 * DAY, NOW + 10 * DAY)), INTERMEDIATE)
    yield from judge(make(NAME, names=[NAME]))
    yield from judge(INTERMEDIATE, good, key_text=good.key_pem)
    yield from judge(good)
