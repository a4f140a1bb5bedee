from ipaddress import ip_address

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.installation import Installation
from lkhub.plan.model import Plan
from lkhub.plan.network import NetworkFacts
from lkhub.plan.process import HeldSocket
from lkhub.spec.load import LoadedSpec, load_spec
from tests.findings.make import titles
from tests.machines import (
    DOCKER,
    ETHERNET,
    INSTALLATION,
    LOOPBACK,
    MACHINES,
    TAILSCALE,
    interface,
    make_facts,
    make_installation,
)

LAN = ip_address("192.168.1.5")
HERE = ip_address("127.0.0.1")


def build(text: str, facts: NetworkFacts | None = None, installation: Installation = INSTALLATION) -> Plan:
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, facts or make_facts(), installation)
    assert loaded.faults == []
    assert plan is not None
    return plan


def judge(text: str, facts: NetworkFacts | None = None) -> LoadedSpec:
    loaded = load_spec(text.encode())
    build_plan(loaded, facts or make_facts(), INSTALLATION)
    return loaded


def test_default_hub_is_for_this_machine_alone() -> None:
    plan = build("")
    assert plan.media.advertise == plan.media.bind == plan.serve.bind == (HERE,)
    assert plan.media.tcp is None, "LiveKit would bind it on every interface"
    assert plan.media.loopback
    assert plan.media.interfaces == ("lo",)
    assert plan.serve.open_tokens
    assert plan.serve.hosts == ("localhost", "127.0.0.1")
    assert plan.urls.livekit == "ws://127.0.0.1:7880"
    assert plan.urls.web == "http://127.0.0.1:8080"
    assert (plan.notes, plan.warnings) == ((), ())


def test_lan_hub_without_tls_is_told_and_bound_by_its_address() -> None:
    plan = build("reach: lan\ntls: {mode: off}")
    assert plan.media.advertise == (LAN,)
    assert plan.media.bind == plan.serve.bind == (LAN, HERE)
    assert plan.media.tcp == 7881
    assert not plan.media.loopback
    assert plan.media.interfaces == ("eth0",)
    assert not plan.serve.open_tokens
    assert plan.serve.hosts == ("localhost", "192.168.1.5", "127.0.0.1")
    assert plan.urls.livekit == "ws://192.168.1.5:7880"
    assert plan.urls.local_media == "http://127.0.0.1:7880"
    assert plan.urls.local_serve == "http://127.0.0.1:8080"


def test_lan_hub_says_which_address_it_took_and_why_not_the_others() -> None:
    notes = titles(build("reach: lan"))
    assert notes[0] == "clients are told 192.168.1.5, on eth0, which carries the default route"
    assert "not 172.17.0.1 on docker0: a bridge for containers or virtual machines" in notes
    assert "not 192.168.1.6 on wlan0: set media.advertise to use it" in notes


def test_lan_hub_is_behind_its_edge() -> None:
    plan = build("reach: lan")
    assert plan.media.advertise == (LAN,)
    assert plan.media.bind == plan.serve.bind == (HERE,), "nobody else reaches signalling and the service past TLS"
    assert plan.serve.hosts == ("localhost", "127.0.0.1")
    assert plan.urls.livekit == "wss://192.168.1.5"
    assert plan.urls.web == "https://192.168.1.5"
    assert plan.urls.api == "https://192.168.1.5/api"
    assert plan.urls.local_media == "http://127.0.0.1:7880"
    assert plan.urls.local_serve == "http://127.0.0.1:8080"
    assert plan.warnings == ()


def test_hub_without_tls_says_that_browsers_elsewhere_need_it() -> None:
    [warning] = build("reach: lan\ntls: {mode: off}\nweb: 9000").warnings
    assert "no TLS" in warning.title
    assert "camera and microphone" in warning.title
    assert "127.0.0.1:9000" in warning.title


def test_tokens_are_open_on_this_machine_alone() -> None:
    assert build("reach: local").serve.open_tokens
    for text in (
        "tls: {mode: internal}",  # through an edge, being on loopback is no credential
        "reach: lan",
        "reach: lan\ntls: {mode: off}",
        "reach: lan\ndomain: a.example.com\ntls: {mode: external}",
        "domain: a.example.com\ntls: {mode: external}",
        "access: {modes: [api-keys]}",
        # The operator may have a tunnel of its own to this machine, whose requests are not local.
        "access: {modes: [open], open_to_anyone: true}",
    ):
        assert not build(text).serve.open_tokens, text


def test_spec_can_choose_the_address_and_the_interfaces() -> None:
    assert build("reach: lan\nmedia: {advertise: 192.168.1.6}").media.interfaces == ("wlan0",)
    both = build("reach: lan\nmedia: {advertise: [192.168.1.6, fd00::5]}").media
    assert both.interfaces == ("wlan0", "eth0")
    assert [str(address) for address in both.local] == ["192.168.1.6", "fd00::5"]
    without_tls = build("reach: lan\ntls: {mode: off}\nmedia: {advertise: [192.168.1.6, fd00::5]}").media
    assert [str(address) for address in without_tls.bind] == ["192.168.1.6", "fd00::5", "127.0.0.1"]
    assert build("reach: lan\nmedia: {advertise: [192.168.1.5, fd00::5]}").media.interfaces == ("eth0",)


def test_ipv6_address_is_in_brackets_in_urls_and_hosts() -> None:
    plan = build("reach: lan\ntls: {mode: off}\nmedia: {advertise: fd00::5}\nturn: {enabled: false}")
    assert plan.urls.livekit == "ws://[fd00::5]:7880"
    assert plan.urls.api == "http://[fd00::5]:8080/api"
    assert "[fd00::5]" in plan.serve.hosts
    assert plan.stun == ("[fd00::5]:3478",)
    behind = build("reach: lan\nmedia: {advertise: fd00::5}")
    assert behind.urls.livekit == "wss://[fd00::5]"
    assert "[fd00::5]:443" in behind.serve.authorities


def test_loopback_interface_has_its_own_name_on_every_system() -> None:
    mac = make_facts(interface("lo0", "loopback", "127.0.0.1"))
    assert build("", mac).media.interfaces == ("lo0",)


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("media: {advertise: 192.168.1.5}", "media.advertise", "set reach: lan"),
        ("reach: lan\nmedia: {advertise: 127.0.0.1}", "media.advertise", "write auto"),
        ("reach: lan\nmedia: {advertise: 10.1.2.3}", "media.advertise", "it has 192.168.1.5"),
        ("reach: lan\nmedia: {advertise: 10.1.2.3, interfaces: [eth0]}", "media.advertise", "it has 192.168.1.5"),
        ("reach: lan\nmedia: {interfaces: [eth0, nope]}", "media.interfaces[1]", "it has lo"),
        ("reach: lan\nmedia: {interfaces: [nope]}", "media.interfaces[0]", "it has lo"),
        ("media: {interfaces: [nope]}", "media.interfaces[0]", "it has lo"),
    ],
)
def test_what_this_machine_does_not_have_is_one_fault(text: str, key: str, said: str) -> None:
    [fault] = judge(text).faults
    assert fault.key == key
    assert said in fault.hint


def test_machine_without_a_lan_says_what_it_found() -> None:
    loaded = load_spec(b"name: a\nreach: lan\n")
    assert build_plan(loaded, make_facts(LOOPBACK, DOCKER, TAILSCALE), INSTALLATION) is None
    [fault] = loaded.faults
    assert (fault.line, fault.key) == (2, "reach")
    for shown in ("172.17.0.1 on docker0 (a bridge", "100.64.0.7 on tailscale0 (a VPN"):
        assert shown in fault.title
    assert "()" not in fault.title
    assert "127.0.0.1" not in fault.title, "nobody would look for a LAN there"


def test_machine_without_any_address_says_so() -> None:
    [fault] = judge("reach: lan", make_facts(interface("eth0", "lan"))).faults
    assert "no address at all" in fault.title


def test_interface_that_is_named_and_has_no_address_is_no_empty_reason() -> None:
    [fault] = judge("reach: lan\nmedia: {interfaces: [veth1a2b]}").faults
    assert "()" not in fault.title
    assert "127.0.0.1" not in fault.title, "nobody would look for a LAN there"


def test_clients_are_never_left_without_a_stun_server_of_this_hub() -> None:
    """With neither STUN nor TURN LiveKit names Google's and Twilio's."""
    for text in ("turn: {enabled: false}", "turn: {udp: off}", "media: {udp: 5000-5010}\nturn: {enabled: false}"):
        plan = build(text)
        assert plan.relay is None
        [server] = plan.stun
        assert server == "127.0.0.1:3478"
    assert build("reach: lan\nturn: {enabled: false}").stun == ("192.168.1.5:3478",)
    assert build("reach: lan\nturn: {udp: off}").stun == (), "TURN over TLS counts as one"
    assert build("").stun == ()
    assert build("stun: [stun.example.com:1]").stun == ("stun.example.com:1",)


@pytest.mark.parametrize("udp", ["3478", "3000-4000", "3478-65535", "1-65535"])
def test_stun_server_is_never_where_media_is(udp: str) -> None:
    """libwebrtc drops what comes from there and is no answer to STUN."""
    plan = build(f"media: {{udp: {udp}}}\nturn: {{enabled: false}}")
    [server] = plan.stun
    assert int(server.rpartition(":")[2]) not in plan.media.udp


def test_probes_are_the_paths_that_the_spec_promises() -> None:
    assert build("").probes == ("udp", "turn-udp")
    assert build("reach: lan").probes == ("udp", "tcp", "turn-udp", "turn-tls")
    assert build("reach: lan\ntls: {mode: off}").probes == ("udp", "tcp", "turn-udp")
    assert build("reach: lan\nturn: {tls: false}").probes == ("udp", "tcp", "turn-udp")
    assert build("reach: lan\nmedia: {tcp: off}\nturn: {udp: off}").probes == ("udp", "turn-tls")
    assert build("tls: {mode: internal}").probes == ("udp", "turn-udp", "turn-tls")
    assert build("turn: {enabled: false}").probes == ("udp",)
    assert build("reach: lan\ntls: {mode: off}\nmedia: {tcp: off}\nturn: {udp: off}").probes == ("udp",)
    assert build("reach: lan\ndomain: a.example.com\ntls: {mode: external}").probes == ("udp", "tcp", "turn-udp")


def test_probes_over_ipv6_are_the_same() -> None:
    assert build("reach: lan", MACHINES["lan-v6"]).probes == ("udp", "tcp", "turn-udp", "turn-tls")
    assert build("reach: public\ndomain: a.example.com", MACHINES["vps-v6"]).probes[2:] == ("turn-udp", "turn-tls")


def test_processes_are_the_bundled_engine_and_our_own_service() -> None:
    plan = build("")
    media, relay, serve = plan.processes
    assert [process.name for process in plan.processes] == ["media", "relay", "serve"]
    assert media.argv[:4] == ("/opt/lkhub/lkhub-engine", "media", "--config", "/var/lib/lkhub/rendered/livekit.yaml")
    assert relay.argv[:4] == ("/opt/lkhub/lkhub-engine", "relay", "--config", "/var/lib/lkhub/rendered/relay.json")
    assert serve.argv[:5] == ("/usr/bin/python3", "-P", "-m", "lkhub", "serve")
    assert serve.argv[5:] == ("--config", "/var/lib/lkhub/rendered/serve.json")
    assert (media.carries_calls, relay.carries_calls, serve.carries_calls) == (True, True, False)
    assert media.health.socket == "/var/lib/lkhub/run/media.sock"
    assert serve.health.url == "http://127.0.0.1:8080/api/hub"
    assert serve.listens == (HeldSocket("127.0.0.1", 8080),), "no other user listens there while it starts again"
    assert media.listens == (("127.0.0.1", 7880),)


@pytest.mark.parametrize(("text", "seconds"), [("", 30), ("drain: 10m", 600), ("drain: 0s", 0), ("drain: 7d", 604800)])
def test_drain_is_what_media_and_its_supervisor_wait_for_calls(text: str, seconds: int) -> None:
    plan = build(text)
    media = plan.processes[0]
    assert media.argv == build("").processes[0].argv, "another drain is no other process"
    assert (plan.drain, media.drain) == (seconds, seconds)
    assert build(f"engine: /opt/livekit-server\n{text}").processes[0].drain == seconds, "its supervisor sees to it"


def test_edge_is_a_process_that_reloads() -> None:
    plan = build("reach: lan")
    assert [process.name for process in plan.processes] == ["media", "relay", "serve", "edge"]
    edge = plan.processes[-1]
    assert edge.argv == (
        *("/opt/lkhub/lkhub-engine", "edge", "--config", "/var/lib/lkhub/rendered/caddy.json"),
        *("--control", "/var/lib/lkhub/run/edge.sock"),
    )
    assert edge.files == ("/var/lib/lkhub/rendered/caddy.json", "/var/lib/lkhub/relay.secret")
    assert edge.health.socket == "/var/lib/lkhub/run/edge.sock"
    assert (edge.carries_calls, edge.reloads) == (True, True), "a restart cuts what is relayed over TLS"
    assert not any(process.reloads for process in plan.processes[:-1])


def test_process_is_another_one_when_a_file_with_its_secrets_changes() -> None:
    media, relay, _ = build("").processes
    assert "/var/lib/lkhub/relay.secret" in media.files
    assert "/var/lib/lkhub/relay.secret" in relay.files


def test_other_keys_restart_only_a_server_of_the_operator() -> None:
    keys = "/var/lib/lkhub/keys.yaml"
    for process in build("").processes:
        assert keys not in process.files
        assert process.rereads == ((keys,) if process.name == "media" else ())
    media, *others = build("engine: /opt/livekit-server").processes
    assert keys in media.files
    assert media.rereads == ()
    assert not any(keys in (*process.files, *process.rereads) for process in others)


def test_no_secret_is_in_an_argument() -> None:
    secret = "XYZ" * 15
    plan = build(f"keys: {{source: {{key: API, secret: {secret}}}}}")
    assert secret not in repr(plan)


def test_external_server_is_found_from_the_folder_of_the_spec() -> None:
    media = build("engine: ./bin/livekit-server").processes[0]
    assert media.argv == ("/etc/lkhub/bin/livekit-server", "--config", "/var/lib/lkhub/rendered/livekit.yaml")
    assert media.health.url == "http://127.0.0.1:7880/"
    assert media.listens == ()
    assert build("engine: /opt/livekit-server").processes[0].argv[0] == "/opt/livekit-server"


def test_without_relay_there_is_no_relay_process() -> None:
    for text in ("turn: {enabled: false}", "turn: {udp: off}"):
        plan = build(text)
        assert [process.name for process in plan.processes] == ["media", "serve"]
        assert plan.relay is None


def test_state_is_where_the_facts_say() -> None:
    plan = build("", installation=make_installation("/tmp/x"))
    assert plan.paths.root == "/tmp/x"
    assert all("/var/lib" not in argument for process in plan.processes for argument in process.argv)


def test_plan_with_faults_is_still_built_for_the_checks_that_follow() -> None:
    loaded = load_spec(b"web: 7880\nmedia: {udp: x}")
    plan = build_plan(loaded, make_facts(LOOPBACK, ETHERNET), INSTALLATION)
    assert plan is not None
    assert len(loaded.faults) == 2


@pytest.mark.parametrize(
    ("spec", "machine"),
    [
        ("reach: public\ndomain: rtc.example.com\n", "vps"),
        ("reach: lan\nmedia: {interfaces: [eth0]}\n", "vps"),
        ("reach: lan\ntls: {mode: external}\ndomain: rtc.example.com\n", "laptop"),
        ("tls: {mode: external}\ndomain: rtc.example.com\n", "laptop"),
        ("reach: lan\ntls: {mode: acme, email: ops@example.com}\ndomain: rtc.example.com\n", "laptop"),
    ],
)
def test_key_that_everybody_knows_is_refused_where_the_internet_may_reach_the_hub(spec: str, machine: str) -> None:
    loaded = load_spec(f"{spec}keys: {{source: dev}}\n".encode())
    build_plan(loaded, MACHINES[machine], INSTALLATION)
    assert "keys.source" in {fault.key for fault in loaded.faults}


@pytest.mark.parametrize("spec", ["", "reach: lan\n", "reach: lan\ntls: {mode: off}\n"])
def test_key_that_everybody_knows_is_taken_elsewhere(spec: str) -> None:
    loaded = load_spec(f"{spec}keys: {{source: dev}}\n".encode())
    plan = build_plan(loaded, MACHINES["laptop"], INSTALLATION)
    loaded.require_sound()
    assert plan
    assert ("dev-key" in {finding.code for finding in plan.warnings}) == bool(spec)
