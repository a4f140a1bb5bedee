"""Every target of `lkhub render`."""

import re

import pytest

from lkhub.errors import InputError
from lkhub.plan.container import CONTAINED
from lkhub.plan.model import Plan
from lkhub.plan.network import NetworkFacts
from lkhub.render.targets.all import TARGETS
from lkhub.render.targets.target import Given, Target
from tests.machines import INSTALLATION, MACHINES, plan_sound

RTC = "reach: public\ndomain: rtc.example.com\n"
PROXIED = f"{RTC}tls: {{mode: external, trusted_proxies: [10.0.0.0/8]}}\n"


def make_plan(spec: str) -> tuple[Plan, NetworkFacts]:
    facts = MACHINES["vps"]
    return plan_sound(spec, facts, INSTALLATION), facts


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_target_has_files_of_their_own_names(target: Target) -> None:
    plan, facts = make_plan(PROXIED)
    files = target.render(plan, Given(facts.interfaces), None)
    assert files
    assert len({file.name for file in files}) == len(files)
    assert all(file.text.endswith("\n") for file in files)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_form_alone_is_one_of_all(target: Target) -> None:
    plan, facts = make_plan(PROXIED)
    together = target.render(plan, Given(facts.interfaces), None)
    for form in target.forms.names if target.forms else ():
        target.require_form(target.forms.option if target.forms else "", form)
        assert set(target.render(plan, Given(facts.interfaces), form)) <= set(together)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("option", ["--format", "--for"])
def test_form_that_is_none_of_the_target_is_refused(target: Target, option: str) -> None:
    with pytest.raises(InputError, match="nonsense"):
        target.require_form(option, "nonsense")
    target.require_form(option, None)


@pytest.mark.parametrize("target", ["systemd", "nixos", "compose", "kubernetes"])
def test_build_is_given_out_where_something_asks_for_it(target: str) -> None:
    """Elsewhere the hub makes it, and says that nothing keeps it from the hub's files."""
    spec = f"{RTC}sites: [{{name: bmo, root: /srv/bmo/dist, port: 3001, build: make}}]\n"
    plan = plan_sound(spec, MACHINES["vps"], TARGETS[target].installation or CONTAINED)
    files = TARGETS[target].render(plan, Given(spec=spec.encode()), None)
    asks = any("run-build" in file.text for file in files)
    assert plan.sites_given_out == (("bmo",) if asks else ())
    assert ("site-build-not-apart" in {finding.code for finding in plan.warnings}) == (not asks)


@pytest.mark.parametrize(("name", "spec"), [("caddy", ""), ("proxy", ""), ("proxy", "tls: {mode: internal}\n")])
def test_plan_without_the_part_says_what_to_write(name: str, spec: str) -> None:
    plan, facts = make_plan(spec)
    with pytest.raises(InputError) as refused:
        TARGETS[name].render(plan, Given(facts.interfaces), None)
    assert "tls.mode" in refused.value.hints[0]


WITH_SECRET = {
    "store.password": "store: postgresql://ann:CANARY0canary@db/hub",
    "redis.password": "redis: redis://:CANARY0canary@cache",
    "turn.external[0].secret": "turn: {external: [{url: 'turn:a:1', secret: CANARY0canary}]}",
    "keys.source.secret": f"keys: {{source: {{key: API, secret: {'CANARY' * 6}}}}}",
}


@pytest.mark.parametrize("target", ["nixos", "cloud-init", "kubernetes"])
@pytest.mark.parametrize("place", WITH_SECRET)
def test_target_whose_files_have_the_spec_takes_no_secret_in_its_text(target: str, place: str) -> None:
    """Whether it stands alone or in a URL: the files are for everybody."""
    spec = f"{RTC}{WITH_SECRET[place]}\n"
    plan = plan_sound(spec, MACHINES["vps"], TARGETS[target].installation or CONTAINED)
    with pytest.raises(InputError) as refused:
        TARGETS[target].render(plan, Given(MACHINES["vps"].interfaces, spec.encode()), None)
    assert place in str(refused.value)
    assert "CANARY" not in f"{refused.value} {refused.value.hints}"


# Not that of a pod's probe, which is deeper in.
STOP_TIME = re.compile(r"^ {,6}(?:TimeoutStopSec|stop_grace_period|terminationGracePeriodSeconds)\W+(\d+)s?\W*$", re.M)
# Of the hub and each agent. Kubernetes has them in manifests and in a chart.
STOP_TIMES = {"systemd": 2, "compose": 3, "kubernetes": 4}


@pytest.mark.parametrize("target", STOP_TIMES)
@pytest.mark.parametrize(("drain", "seconds"), [("10m", "630"), ("2h", "7230"), ("0s", "30")])
def test_hub_and_agents_are_stopped_as_drain_says(target: str, drain: str, seconds: str) -> None:
    agents = {
        "systemd": "[{name: code, project: a}]",
        "compose": "[{name: code, project: a}, {name: bmo, image: a}]",
        "kubernetes": "[{name: bmo, image: a}]",
    }
    spec = f"{RTC}drain: {drain}\nagents: {agents[target]}\n"
    form = "host-network" if target == "kubernetes" else None
    plan = plan_sound(spec, MACHINES["vps"], TARGETS[target].installation or CONTAINED)
    files = TARGETS[target].render(plan, Given(spec=spec.encode()), form)
    found = [time for file in files for time in STOP_TIME.findall(file.text)]
    assert found == [seconds] * STOP_TIMES[target]


@pytest.mark.parametrize("target", ["systemd", "compose", "kubernetes"])
def test_order_of_a_list_renames_no_secret(target: str) -> None:
    """A service manager has copies of the files by name: the hub would take the one for the other."""

    def find_names(*items: str) -> set[str]:
        spec = f"{RTC}turn: {{external: [{', '.join(items)}]}}\n"
        plan = plan_sound(spec, MACHINES["vps"], TARGETS[target].installation or CONTAINED)
        texts = [file.text for file in TARGETS[target].render(plan, Given(spec=spec.encode()), None)]
        return {name for name in plan.credentials if any(name in text for text in texts)}

    one, other = (f"{{url: 'turn:{name}.example.com:3478', secret: {{file: {name}.secret}}}}" for name in ("a", "b"))
    assert find_names(one, other) == find_names(other, one) == {"a.secret", "b.secret"}
    assert find_names(other) == {"b.secret"}
