"""The firewall table of the spec that a command was given."""

from pathlib import Path

from lkhub.firewall.table import FirewallTable, firewall_table
from lkhub.hub.locate import find_spec, find_state
from lkhub.plan.model import Plan
from lkhub.prepare.hub import plan_hub


def load_table(spec: Path | None, state: Path | None) -> tuple[FirewallTable, Plan]:
    """The table and its plan. Changes nothing. Raises SpecError with every fault of the spec."""
    hub = plan_hub(find_spec(spec), find_state(state))
    return firewall_table(hub.plan, hub.network.interfaces), hub.plan
