"""The variables of a process's environment, resolved at its start."""

from collections.abc import Iterable, Mapping

from lkhub.errors import MachineError
from lkhub.host.secrets import read_source
from lkhub.plan.process import Variable
from lkhub.secret import SecretError, require_secret


def resolve_variables(variables: Iterable[Variable], environ: Mapping[str, str]) -> dict[str, str]:
    """The values of variables; `environ` has the variables that these refer to. Raises MachineError that names all
    variables that are missing or can't be set, and never a value."""
    values: dict[str, str] = {}
    missing: list[str] = []
    for variable in variables:
        try:
            values[variable.name] = _require_text(read_source(variable.source, "/", environ))
        except SecretError as error:
            missing.append(f"{variable.name}: {error}")
    if missing:
        raise MachineError("its environment lacks " + "; ".join(missing))
    return values


def _require_text(value: str) -> str:
    """Raises SecretError for what no variable can have."""
    if "\0" in value:
        raise SecretError("it has a zero byte")
    return require_secret(value).reveal()
