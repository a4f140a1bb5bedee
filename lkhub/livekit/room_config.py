"""LiveKit's RoomConfiguration: the settings of the room that a join opens. Pure.

The message is in livekit/protocol, protobufs/livekit_room.proto; RoomAgentDispatch is in livekit_agent_dispatch.proto.
LiveKit takes the settings when a join opens the room. It ignores `name`, and for the numbers 0 means its own default
(livekit-server, SetRoomConfiguration in pkg/service/utils.go).
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from lkhub.shown import printable
from lkhub.source.json_text import Json
from lkhub.source.typed import pack

MAX_UINT32 = 2**32 - 1

# LiveKit refuses other deployments when the room is open, and then dispatches no agent without telling the client
# (livekit/protocol, ValidateDeployment in agent/environment.go).
MAX_DEPLOYMENT_BYTES = 64


class AgentDispatch(Struct, frozen=True, omit_defaults=True):
    """An agent that LiveKit calls into the room. The agents that register without a name have `agent_name` "".
    `deployment` selects one of several deployments of an agent."""

    agent_name: str = ""
    metadata: str = ""
    deployment: str = ""
    attributes: dict[str, str] = {}


class RoomConfig(Struct, frozen=True, omit_defaults=True):
    """The settings of a room. The timeouts are in seconds: how long the room stays open before the first join, and
    after the last leave. 0 and "" leave a setting to LiveKit."""

    name: str = ""
    empty_timeout: int = 0
    departure_timeout: int = 0
    max_participants: int = 0
    metadata: str = ""
    agents: tuple[AgentDispatch, ...] = ()

    def as_claim(self) -> dict[str, Json]:
        """The claim `roomConfig` of a token: JSON of protocol buffers with names in camelCase, without defaults."""
        return self._pack(_camel)

    def as_request(self) -> dict[str, Json]:
        """The same with names in snake_case, as in `room_config` of a TokenSource request and in CreateRoomRequest."""
        return self._pack(str)

    def _pack(self, spell: Callable[[str], str]) -> dict[str, Json]:
        packed: dict[str, Json] = {spell(name): value for name, value in pack(self).items()}
        if self.agents:
            packed["agents"] = [{spell(name): value for name, value in pack(agent).items()} for agent in self.agents]
        return packed


class RoomConfigError(ValueError):
    """A `room_config` that is not taken. `faults` has all that is wrong with it, each as `agents[0].metadata: why`.
    They repeat names of fields and no values."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


# Strangers can send thousands, and to find similar names for all of them takes half a second.
MOST_FAULTS = 10


# A body of 60 KiB can name 20,000 agents. To read them takes as long as a thousand tokens, and LiveKit would call each
# into the room. A room needs a few.
MOST_AGENTS = 100


class _TooManyError(Exception):
    """There are more faults than are told."""


_NOT_PASSED_ON = "the hub does not pass this setting on to LiveKit"

# Fields of LiveKit's that a caller may know, and why they are refused.
_REFUSED_ROOM = {
    "egress": "a token does not start recordings: whoever asks for a token could send a call to any address",
    "min_playout_delay": _NOT_PASSED_ON,
    "max_playout_delay": _NOT_PASSED_ON,
    "sync_streams": _NOT_PASSED_ON,
    "tags": _NOT_PASSED_ON,
}
_REFUSED_AGENT = {"restart_policy": "only LiveKit Cloud has this setting"}


def read_room_config(given: object) -> RoomConfig:
    """The settings in parsed JSON of a caller, with names in snake_case or in camelCase. null is a field that is not
    given, as in all JSON of protocol buffers. Raises RoomConfigError with all faults, or with the first of many."""
    reader = _Reader()
    try:
        config = reader.read_room(given)
    except _TooManyError:
        raise RoomConfigError([*reader.faults, "and more"]) from None
    if reader.faults:
        raise RoomConfigError(reader.faults)
    return config


class _Reader:
    """Reads one `room_config` and collects what is wrong with it."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def read_room(self, given: object) -> RoomConfig:
        fields = self._read_fields(given, "", RoomConfig.__struct_fields__, _REFUSED_ROOM)
        agents = fields.get("agents", [])
        if not isinstance(agents, list):
            self._refuse("agents", f"expected a list, not {_kind(agents)}")
            agents = []
        if len(agents) > MOST_AGENTS:
            self._refuse("agents", f"more than {MOST_AGENTS} agents")
            agents = []
        return RoomConfig(
            name=self._read_text(fields, "name", ""),
            empty_timeout=self._read_number(fields, "empty_timeout"),
            departure_timeout=self._read_number(fields, "departure_timeout"),
            max_participants=self._read_number(fields, "max_participants"),
            metadata=self._read_text(fields, "metadata", ""),
            agents=tuple(self._read_agent(agent, f"agents[{index}]") for index, agent in enumerate(agents)),
        )

    def _read_agent(self, given: object, place: str) -> AgentDispatch:
        fields = self._read_fields(given, place, AgentDispatch.__struct_fields__, _REFUSED_AGENT)
        deployment = self._read_text(fields, "deployment", place)
        if why := _check_deployment(deployment):
            self._refuse(f"{place}.deployment", why)
        return AgentDispatch(
            agent_name=self._read_text(fields, "agent_name", place),
            metadata=self._read_text(fields, "metadata", place),
            deployment=deployment,
            attributes=self._read_attributes(fields.get("attributes", {}), f"{place}.attributes"),
        )

    def _read_fields(
        self, given: object, place: str, names: Sequence[str], reasons: Mapping[str, str]
    ) -> dict[str, object]:
        """The fields that are given, by their names in snake_case. `reasons`: why further fields are refused."""
        if not isinstance(given, dict):
            self._refuse(place, f"expected an object, not {_kind(given)}")
            return {}
        spellings = {spelling: name for name in (*names, *reasons) for spelling in (name, _camel(name))}
        found: dict[str, object] = {}
        for key, value in given.items():
            name = spellings.get(key, "")
            where = _join(place, printable(key))
            if not name:
                # Imported here: it costs 150 KB, and the service that runs as long as the hub seldom needs it.
                from difflib import get_close_matches

                near = get_close_matches(key, names, n=1)
                self._refuse(where, f"unknown field; did you mean {near[0]}?" if near else "unknown field")
            elif value is None:
                continue
            elif name in reasons:
                self._refuse(where, reasons[name])
            elif name in found:
                self._refuse(where, f"given twice, as {name} and as {_camel(name)}")
            else:
                found[name] = value
        return found

    def _read_text(self, fields: Mapping[str, object], name: str, place: str) -> str:
        return self._check_text(fields.get(name, ""), _join(place, name))

    def _check_text(self, value: object, place: str) -> str:
        if not isinstance(value, str):
            self._refuse(place, f"expected text, not {_kind(value)}")
        elif not _is_unicode(value):
            self._refuse(place, "has half a character (an unpaired surrogate)")
        else:
            return value
        return ""

    def _read_number(self, fields: Mapping[str, object], name: str) -> int:
        value = fields.get(name, 0)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_UINT32:
            return value
        self._refuse(name, f"expected a whole number from 0 to {MAX_UINT32}")
        return 0

    def _read_attributes(self, value: object, place: str) -> dict[str, str]:
        if not isinstance(value, dict):
            self._refuse(place, f"expected an object, not {_kind(value)}")
            return {}
        for key, text in value.items():
            self._check_text(key, place)
            self._check_text(text, _join(place, printable(key)))
        return value

    def _refuse(self, place: str, why: str) -> None:
        if len(self.faults) == MOST_FAULTS:
            raise _TooManyError
        self.faults.append(f"{place}: {why}" if place else why)


def _check_deployment(name: str) -> str:
    """Why LiveKit refuses this name of a deployment, or ""."""
    if len(name.encode()) > MAX_DEPLOYMENT_BYTES:
        return f"has more than {MAX_DEPLOYMENT_BYTES} bytes"
    if any(character == "_" or character <= " " or character == "\x7f" for character in name):
        return "LiveKit takes no underscore, blank or control character in it"
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _kind(value: object) -> str:
    """What kind of JSON a value is."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"
