"""A plan for a machine that is not seen."""

import pytest

from lkhub.plan.elsewhere import imagine_network
from lkhub.plan.model import Plan
from lkhub.plan.network import NetworkFacts
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES, plan_sound

PUBLIC = "reach: public\ndomain: rtc.example.com\n"


def make_plan(spec: str, facts: NetworkFacts | None = None) -> Plan:
    return plan_sound(spec, facts or imagine_network(load_spec(spec.encode()).spec), INSTALLATION)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "reach: lan",
        PUBLIC,
        f"{PUBLIC}media: {{advertise: [203.0.113.7, '2001:db8::7']}}",
        f"{PUBLIC}media: {{advertise: {{stun: 'stun.example.com:3478'}}}}",
        "reach: lan\nmedia: {advertise: 10.1.2.3}",
        "reach: lan\nmedia: {interfaces: [ens5, wlan0]}",
        "reach: lan\nmedia: {interfaces: [tailscale0]}\ntls: {mode: tailscale}",
        "reach: lan\ntls: {mode: tailscale}",
    ],
)
def test_every_sound_spec_has_a_plan(spec: str) -> None:
    assert make_plan(spec).listeners


@pytest.mark.parametrize(("spec", "machine"), [("", "laptop"), ("reach: lan", "laptop"), (PUBLIC, "vps-v4")])
def test_ports_are_those_on_a_real_machine(spec: str, machine: str) -> None:
    def list_ports(plan: Plan) -> set[tuple[object, ...]]:
        return {(row.process, row.protocol, row.ports, row.client_facing) for row in plan.listeners}

    assert list_ports(make_plan(spec)) == list_ports(make_plan(spec, MACHINES[machine]))
