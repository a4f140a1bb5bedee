import json
from dataclasses import replace

import pytest

from lkhub.firewall.table import firewall_table
from lkhub.plan.build import build_plan
from lkhub.plan.container import CONTAINED
from lkhub.plan.installation import Installation
from lkhub.plan.leads import list_led_names
from lkhub.plan.model import Plan
from lkhub.plan.service import INSTALLED
from lkhub.plan.sites import site_origins
from lkhub.plan.users import FIRST_UID
from lkhub.render.caddy import render_caddy
from lkhub.spec.load import load_spec
from lkhub.state.describe import list_certified
from tests.machines import INSTALLATION, MACHINES

PUBLIC = "reach: public\ndomain: rtc.example.com\n"
BMO = "sites: [{name: bmo, root: dist, port: 3001, domain: bmo.example.com}]\n"


def build(text: str, machine: str = "vps", user: str = "lkhub") -> Plan:
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, MACHINES[machine], replace(INSTALLATION, user=user))
    loaded.require_sound()
    assert plan is not None
    return plan


def test_port_of_a_site_is_the_edges_and_open_to_whom_the_hub_is() -> None:
    plan = build(PUBLIC + BMO)
    rows = [row for row in firewall_table(plan).rows if row.key == "sites[0].port"]
    assert [(str(row), row.purpose, row.process, row.source) for row in rows] == [
        ("3001/tcp", "site bmo", "edge", "anyone")
    ]
    edge = next(process for process in plan.processes if process.name == "edge")
    assert ("", 3001) in edge.listens


def test_hub_that_is_for_this_machine_has_its_sites_there() -> None:
    plan = build("tls: {mode: internal}\nsites: [{name: bmo, root: dist, port: 3001}]", "laptop")
    found = [listener for listener in plan.listeners if listener.ports.start == 3001]
    assert [(str(listener.address), listener.client_facing) for listener in found] == [("127.0.0.1", False)]


def test_name_of_a_site_is_certified_and_has_to_lead_here() -> None:
    plan = build(PUBLIC + BMO)
    assert list_certified(plan) == list_led_names(plan) == ("rtc.example.com", "bmo.example.com")
    assert plan.edge is not None
    assert plan.edge.names == ("rtc.example.com",), "the hub itself is not at the site's name"
    assert "bmo.example.com" not in plan.serve.authorities


def test_own_certificate_has_to_have_the_name() -> None:
    plan = build(PUBLIC + "tls: {mode: files, cert: a.pem, key: b.pem}\n" + BMO)
    assert plan.edge is not None
    assert plan.edge.certified_names == ("rtc.example.com", "bmo.example.com")


def test_behind_a_proxy_a_site_needs_no_port_and_no_certificate() -> None:
    plan = build(PUBLIC + "tls: {mode: external}\nsites: [{name: bmo, root: dist, domain: bmo.example.com}]\n")
    assert plan.edge is not None
    assert [listener.ports.start for listener in plan.listeners if listener.process == "edge"] == [7883]
    assert list_certified(plan) == ()
    assert site_origins(plan.edge, plan.edge.sites[0]) == ("https://bmo.example.com",)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        (PUBLIC + BMO, ("https://bmo.example.com", "https://rtc.example.com:3001")),
        (PUBLIC + "tls: {listen: 8443}\n" + BMO, ("https://bmo.example.com:8443", "https://rtc.example.com:3001")),
        ("reach: lan\nsites: [{name: bmo, root: dist, port: 3001}]", ("https://192.168.1.5:3001",)),
    ],
)
def test_where_people_find_a_site(text: str, origins: tuple[str, ...]) -> None:
    plan = build(text, "vps" if "public" in text else "laptop")
    assert plan.edge is not None
    assert site_origins(plan.edge, plan.edge.sites[0]) == origins


def test_hub_without_sites_has_nothing_of_them() -> None:
    plan = build(PUBLIC)
    assert plan.edge is not None
    text = render_caddy(plan, plan.edge).text
    assert "lkhub_site" not in text
    assert "encode" not in json.loads(text)["apps"]["http"]["servers"]["hub"]["routes"]


BUILT = """
access: {roles: {guest: {publish: [microphone], ttl: 2h}}}
sites:
  - name: bmo
    root: web/frontend/dist
    port: 3001
    build: npm run build
    env:
      TITLE: bmo
      URL: {url: livekit}
      API: {url: api}
      TOKEN: {token: {room: r, identity: i}}
      GUEST: {token: {room: r, identity: g, role: guest}}
"""


def test_site_that_is_built_is_served_from_the_state_directory() -> None:
    plan = build(PUBLIC + BUILT)
    assert plan.edge is not None
    [site] = plan.edge.sites
    assert site.root == plan.paths.site_files("bmo")
    assert site.build is not None
    folder = INSTALLATION.beside_spec("web/frontend")
    assert (site.build.project, site.build.output) == (folder, "dist")
    assert set(site.build.skipped) == {f"{folder}/dist", f"{folder}/.git", INSTALLATION.state}


def test_build_is_told_addresses_and_gets_tokens() -> None:
    plan = build(PUBLIC + BUILT)
    assert plan.edge is not None
    made = plan.edge.sites[0].build
    assert made is not None
    title, url, api, plain, guest = made.variables
    assert (title.text, url.text, api.text) == ("bmo", "wss://rtc.example.com", "https://rtc.example.com/api")
    assert plain.token is not None
    assert guest.token is not None
    assert (plain.token.ttl, plain.token.allows) == (30 * 86400, None)
    assert guest.token.allows is not None
    assert (guest.token.ttl, guest.token.allows.publish) == (2 * 3600, ("microphone",))


def test_build_is_a_process_that_ends() -> None:
    plan = build(PUBLIC + BUILT)
    process = next(process for process in plan.processes if process.name == "site-bmo")
    assert (process.restart, process.carries_calls, process.variables) == ("on-failure", False, ())
    assert process.files == (plan.paths.render("site-bmo.json"),)


def test_project_is_where_the_spec_says() -> None:
    site = "sites: [{name: bmo, root: apps/web/dist/browser, project: ., port: 3001, build: make}]"
    plan = build(PUBLIC + site)
    assert plan.edge is not None
    made = plan.edge.sites[0].build
    assert made is not None
    assert (made.project, made.output) == (INSTALLATION.folder, "apps/web/dist/browser")


def test_root_builds_each_site_as_a_user_of_its_own() -> None:
    text = PUBLIC + BUILT + "  - {name: other, root: other/dist, port: 3002, build: make}"
    plan = build(text, user="root")
    uids = [site.build.uid for site in plan.edge.sites if site.build] if plan.edge else []
    assert len({uid for uid in uids if uid is not None and uid >= FIRST_UID}) == 2
    assert "site-build-not-apart" not in {finding.code for finding in plan.findings}


def test_users_of_builds_exist_in_a_container_that_has_few() -> None:
    """One of LXC without privileges has 65,536."""
    few = replace(INSTALLATION, user="root", low_uids=True)
    plan = build_plan(load_spec((PUBLIC + BUILT).encode()), MACHINES["vps"], few)
    assert plan is not None
    assert plan.edge is not None
    [uid] = [site.build.uid for site in plan.edge.sites if site.build]
    assert uid is not None
    assert 50_000 <= uid < 60_000


@pytest.mark.parametrize(
    ("installation", "builder"),
    [(INSTALLED, "unit"), (CONTAINED, "container")],
    ids=["service", "container"],
)
def test_build_beside_a_service_is_given_out(installation: Installation, builder: str) -> None:
    # A container may start as root.
    for user in ("lkhub", "root"):
        plan = build_plan(load_spec((PUBLIC + BUILT).encode()), MACHINES["vps"], replace(installation, user=user))
        assert plan
        assert plan.edge
        [made] = [site.build for site in plan.edge.sites if site.build]
        assert (made.uid, made.given, made.builder) == (None, "/var/lib/lkhub/for-sites/bmo", builder)
        assert plan.sites_given_out == ("bmo",)
        assert "site-build-not-apart" not in {finding.code for finding in plan.findings}


def test_hub_that_can_not_change_its_user_says_so() -> None:
    plan = build(PUBLIC + BUILT)
    [warning] = plan.warnings
    assert (warning.code, warning.subject) == ("site-build-not-apart", "bmo")
    assert [fix.command for fix in warning.fix] == [None], "a service refuses `lkhub up`, and its user is no choice"


def test_note_says_that_visitors_share_one_identity() -> None:
    notes = [note for note in build(PUBLIC + BUILT).notes if note.code == "site-token-shared"]
    assert ["is i in r" in note.title for note in notes] == [True, False]
