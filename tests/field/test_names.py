"""A hub's name that resolves to another machine, to a CDN, or to a private address."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.field.nginx import OTHER_SITE, nginx
from tests.kit.hub import Hub, make_hub
from tests.namespaces.lan import PORTS, Lan, make_lan, on_client
from tests.namespaces.proxied import write_certificates
from tests.namespaces.world import DOMAIN, HUB_HOME, PUBLIC, SPEC, hub_behind_nat

CLIENT = "93.184.216.9"
STALE, CDN = "151.101.1.1", "104.16.1.1"


@contextmanager
def server(named: Mapping[str, str]) -> Iterator[tuple[Lan, Hub]]:
    """A machine with a public address of its own, which finds these names at these addresses."""
    with make_lan(PUBLIC, CLIENT, "eth0") as lan, make_hub(lan.hub.prefix, PORTS) as hub:
        lan.name_hosts(named)
        hub.spec.write_text(SPEC)
        yield lan, hub


def findings(hub: Hub) -> dict[str, dict[str, Any]]:
    return {finding["code"]: finding for finding in hub.findings() if finding["code"] != "native-refuses"}


@pytest.mark.case("name-leads-elsewhere")
@pytest.mark.parametrize(("leads", "cause"), [(STALE, "the DNS record is for another machine"), (CDN, "Cloudflare")])
def test_name_that_leads_elsewhere_is_reported_beside_the_proved_paths(leads: str, cause: str) -> None:
    with server({DOMAIN: leads}) as (_, hub):
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"warning: {DOMAIN} leads to {leads}, and this machine is {PUBLIC} [name-leads-elsewhere]" in done.stderr
        assert (
            f"note: the calls went not where {DOMAIN} leads, but to 127.0.0.1: it leads to {leads} here" in done.stderr
        )
        found = findings(hub)
        assert list(found) == ["name-leads-elsewhere"]
        assert cause in found["name-leads-elsewhere"]["cause"]
        assert "name-leads-elsewhere" in hub.run("verify").stderr


@pytest.mark.case("name-leads-elsewhere")
def test_name_that_leads_here_is_where_the_calls_go() -> None:
    with server({DOMAIN: PUBLIC}) as (_, hub):
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the calls went" not in done.stderr
        assert findings(hub) == {}


@pytest.mark.case("cdn-name-behind-nat")
def test_address_of_a_cdn_is_none_to_send_media_to() -> None:
    with hub_behind_nat(hairpin=False) as world, make_hub(world.hub.prefix, PORTS) as hub:
        world.hub.name_hosts({DOMAIN: CDN})
        hub.spec.write_text(SPEC)
        done = hub.run("up", "--detach")
        assert done.returncode == 1, done.stdout + done.stderr
        assert f"assuming that the router in front leads it to {HUB_HOME}" in done.stderr
        title = f"clients are told to send media to {CDN}, which is Cloudflare's and not this machine's"
        assert f"error: {title} [address-of-cdn]" in done.stderr
        assert hub.run("status").returncode == 1
        verified = json.loads(hub.run("verify", "--json").stdout)
        assert verified["ok"] is False
        assert "address-of-cdn" in [finding["code"] for finding in verified["findings"]]
        # The way out that it names: pages through the CDN, media straight here.
        hub.spec.write_text(f"{SPEC}media: {{advertise: {PUBLIC}}}\n")
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "address-of-cdn" not in done.stderr
        assert f"warning: {DOMAIN} leads to {CDN}, and this machine is {PUBLIC}" in done.stderr


@pytest.mark.case("cdn-name-behind-nat")
def test_several_addresses_of_one_name_behind_one_router_are_doubted() -> None:
    with hub_behind_nat(hairpin=False) as world, make_hub(world.hub.prefix, PORTS) as hub:
        world.hub.name_hosts({DOMAIN: PUBLIC, f"{DOMAIN} ": STALE})
        hub.spec.write_text(SPEC)
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        found = findings(hub)["address-assumed"]
        assert found["severity"] == "warning"
        assert PUBLIC in found["title"]
        assert STALE in found["title"]


@pytest.mark.case("cdn-name-behind-nat")
@pytest.mark.parametrize("hairpin", [True, False])
def test_name_behind_a_router_is_taken_where_the_router_leads_it_back(hairpin: bool) -> None:
    with hub_behind_nat(hairpin=hairpin) as world, make_hub(world.hub.prefix, PORTS) as hub:
        hub.spec.write_text(SPEC)
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        note = f"note: the calls went not where {DOMAIN} leads, but to 127.0.0.1: {PUBLIC} does not lead back"
        assert (note in done.stderr) is not hairpin
        assert f"that {PUBLIC} leads to this machine is assumed, and was not seen yet [address-assumed]" in done.stderr


@pytest.mark.case("split-horizon")
def test_private_answer_may_be_right_inside() -> None:
    with hub_behind_nat(hairpin=False) as world, make_hub(world.hub.prefix, PORTS) as hub:
        world.hub.name_hosts({DOMAIN: HUB_HOME})
        hub.spec.write_text(SPEC)
        done = hub.run("up", "--detach")
        assert done.returncode == 2
        assert f"{DOMAIN} resolves to {HUB_HOME}, which clients outside this network can't reach" in done.stderr
        assert "with split DNS" in done.stderr
        assert "media.advertise" in done.stderr
        hub.spec.write_text(f"{SPEC}media: {{advertise: {PUBLIC}}}\n")
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the calls went" not in done.stderr, "inside, the name is the hub's own address"
        assert list(findings(hub)) == ["address-assumed"]


BALANCER = CLIENT


@contextmanager
def behind_balancer(folder: Path, stream: str, body: str = OTHER_SITE) -> Iterator[tuple[Lan, Hub]]:
    """A server whose name resolves to another machine, where nginx has `stream` on port 443, or `body` in its server
    block for HTTPS."""
    with server({DOMAIN: BALANCER}) as (lan, hub):
        write_certificates(folder, DOMAIN)
        with nginx(lan.client, folder, "cert", body, stream):
            yield lan, hub


def test_balancer_that_passes_connections_on_is_no_fault(tmp_path: Path) -> None:
    with behind_balancer(tmp_path, f"server {{ listen 443; proxy_pass {PUBLIC}:443; }}") as (lan, hub):
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("verified ") == 4
        title = f"note: {DOMAIN} leads to {BALANCER}, which forwards connections to this hub"
        assert title in done.stderr
        assert f"all these clients are at {BALANCER}" in done.stderr
        assert f"clients send it to {PUBLIC}" in done.stderr
        assert "[name-leads-elsewhere]" not in done.stderr
        assert "the calls went" not in done.stderr, "they went to the address that clients use"
        assert list(findings(hub)) == ["name-leads-through"]
        done = on_client(hub, lan.client).run("verify", "--url", f"wss://{DOMAIN}")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("stream", "body", "cause", "fix"),
    [
        (
            "",
            f"location / {{ proxy_pass https://{PUBLIC}; proxy_set_header Host {DOMAIN}; proxy_ssl_server_name on; "
            f"proxy_ssl_name {DOMAIN}; }}",
            "behind a program that ends TLS",
            "lkhub render proxy",
        ),
        ("", OTHER_SITE, "another server answers there, not this hub", f"make {PUBLIC} the only address"),
        (
            "server { listen 443; proxy_pass 127.0.0.1:9; }",
            OTHER_SITE,
            "no server answers there by HTTPS",
            "verify --url",
        ),
    ],
    ids=["ends-tls", "another-site", "leads-nowhere"],
)
def test_servers_that_the_name_resolves_to_are_distinguished(
    tmp_path: Path, stream: str, body: str, cause: str, fix: str
) -> None:
    with behind_balancer(tmp_path, stream, body) as (_, hub):
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr.count("[name-leads-elsewhere]") == 1, done.stderr
        assert cause in done.stderr
        assert fix in done.stderr
        assert "[name-leads-through]" not in done.stderr
