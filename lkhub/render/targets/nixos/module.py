"""The module of NixOS: options for every key of a spec, and the unit that follows from them.

What stands in the unit for every spec comes from the unit of systemd; what follows from the spec, and a user of NixOS
may change without lkhub, is computed in Nix.
"""

from collections.abc import Iterable, Mapping

from lkhub.plan.agents import IMAGE_FIX, IMAGE_REFUSED
from lkhub.plan.model import Plan
from lkhub.plan.service import ENVIRONMENT, FOLDER, INSTALLED, SPEC, STOP_MARGIN_SECONDS, UNIT, USER
from lkhub.render.targets.agent_units import list_agent_sections
from lkhub.render.targets.nixos.language import Expression, write_nix, write_text
from lkhub.render.targets.nixos.options import EACH, Place, list_secrets, write_options
from lkhub.render.targets.site_units import list_site_sections
from lkhub.render.targets.systemd import list_sections
from lkhub.render.targets.unit_text import Setting
from lkhub.spec.duration import DEFAULT_DRAIN
from lkhub.spec.model import Spec

_TEXT = """\
# Written by lkhub, the same for every spec. It was evaluated, and never booted.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  inherit (builtins)
    concatLists concatStringsSep elemAt filter genList hashString head isAttrs isList isString length listToAttrs match
    split substring tail toJSON;
  cfg = config.services.lkhub;

  part = options: types.submodule { inherit options; };

  # Everybody may read the store of Nix, so a secret stands in a file, or in a variable of @environment@.
  secret = part {
    file = mkOption { type = types.nullOr types.str; default = null; };
    env = mkOption { type = types.nullOr types.str; default = null; };
  };

  # What is not set is left out of hub.yaml.
  isSet = value: value != null;
  compact = value:
    if isAttrs value then
      listToAttrs (concatLists (map
        (name: if isSet value.${name} then [ { inherit name; value = compact value.${name}; } ] else [ ])
        (builtins.attrNames value)))
    else if isList value then map compact value
    else value;

  settings = compact cfg.settings;

  seconds = text:
    let parts = match "0*([0-9]+)([smhd])" text;
    in builtins.fromJSON (elemAt parts 0) * { s = 1; m = 60; h = 3600; d = 86400; }.${elemAt parts 1};

  # Every secret that the spec has at a place.
  find = place: value:
    if place == [ ] then [ value ]
    else if head place == "@each@" then
      concatLists (map (find (tail place)) (if isAttrs value then builtins.attrValues value else value))
    else if isAttrs value && value ? ${head place} then find (tail place) value.${head place}
    else [ ];
  found = filter isAttrs (concatLists (map (place: find place settings) places));
  places = @places@;

  beside = path: if match "/.*" path != null then path else "@folder@/${path}";
  percent = builtins.replaceStrings [ "%" ] [ "%%" ];
  # The name by which lkhub looks for the credential (name_credential in lkhub/plan/paths.py).
  nameCredential = file:
    let plain = concatStringsSep "_" (filter isString (split "[^A-Za-z0-9.-]" (baseNameOf file)));
    in if plain == file then plain else "${plain}-${substring 0 8 (hashString "sha256" file)}";
  files = builtins.attrNames (listToAttrs
    (map (each: { name = each.file; value = null; }) (filter (each: each ? file) found)));
  credentials = map (file: percent "${nameCredential file}:${beside file}") files;
  variables = filter (each: each ? env) found;

  # The processes of agents, each of which is a unit, with their agent's name.
  agents = concatLists (map
    (agent: genList
      (index: {
        inherit (agent) name;
        process = "agent-${agent.name}" + (if index == 0 then "" else "-${toString (index + 1)}");
      })
      (agent.replicas or 1))
    (settings.agents or [ ]));
  nameUnit = agent: "lkhub-${agent.process}";

  # The sites that are built, each in a unit.
  built = filter (site: site ? build) (settings.sites or [ ]);
  nameBuilder = site: "lkhub-site-${site.name}";

  # The numbers of agents that are images.
  images = filter
    (index: elemAt settings.agents index ? image)
    (genList (index: index) (length (settings.agents or [ ])));

  waitsFor = [ "network-online.target" ]
    ++ (if (settings.tls or { }).mode or "" == "tailscale" then [ "tailscaled.service" ] else [ ]);
in
{
  options.services.lkhub = {
    enable = mkOption { type = types.bool; default = false; description = "Whether this machine is a LiveKit hub."; };
    python = mkOption {
      type = types.str;
      default = @python@;
      description = "The Python of an environment in which lkhub is installed.";
    };
    settings = mkOption {
      default = { };
      description = "hub.yaml, key by key.";
      type = part @options@;
    };
  };

  config = mkIf cfg.enable {
    assertions = map
      (index: {
        assertion = false;
        message = "services.lkhub.settings.agents[${toString index}].image: @refused@; @instead@";
      })
      images;

    environment.etc."@spec@".text = toJSON settings;

    users.users.@user@ = { isSystemUser = true; group = "@user@"; };
    users.groups.@user@ = { };

    systemd.services = listToAttrs (map
      (agent: {
        name = nameUnit agent;
        value = {
          description = "@describeagent@";
          before = [ "@hub@" ];
          unitConfig = @agentunit@;
          serviceConfig = @agent@;
        };
      })
      agents) // listToAttrs (map
      (site: {
        name = nameBuilder site;
        value = {
          description = "@describebuild@";
          unitConfig = @buildunit@;
          serviceConfig = @build@;
        };
      })
      built) // {
      lkhub = {
        description = "LiveKit hub ${settings.name or "hub"}";
        wantedBy = [ "multi-user.target" ];
        wants = waitsFor ++ map (agent: "${nameUnit agent}.service") agents
        ++ map (site: "${nameBuilder site}.service") built;
        after = waitsFor;
        reloadTriggers = [ (toJSON settings) ];
        unitConfig = @unit@;
        serviceConfig = @service@ // (if credentials == [ ] then { } else { LoadCredential = credentials; })
        // (if variables == [ ] then { } else { EnvironmentFile = "@environment@"; });
      };
    };
  };
}
"""

# Written in Nix above.
_OF_THE_UNIT = {"Description", "Wants", "After", "Before"}
_OF_THE_SERVICE = {"LoadCredential", "EnvironmentFile"}


# Stand for what Nix computes. No other text has them.
_NAME, _PROCESS, _SITE = "\x01", "\x02", "\x03"


def render_module(plan: Plan) -> str:
    """The module's text. It is the same for every plan of `INSTALLED`."""
    schema = Spec.model_json_schema()
    sections = dict(list_sections(plan))
    stop = Expression(f'seconds (settings.drain or "{DEFAULT_DRAIN}") + {STOP_MARGIN_SECONDS}')
    service = _group(each for each in sections["Service"] if each[0] not in _OF_THE_SERVICE)
    agent = dict(list_agent_sections(plan, _NAME, _PROCESS))
    build = dict(list_site_sections(plan, _SITE))
    values = {
        "environment": ENVIRONMENT,
        "folder": FOLDER,
        "spec": SPEC.removeprefix("/etc/"),
        "user": USER,
        "each": EACH,
        "places": _write_places(list_secrets(schema)),
        "python": write_text(INSTALLED.python),
        "options": write_options(schema),
        "unit": write_nix(_group(each for each in sections["Unit"] if each[0] not in _OF_THE_UNIT), " " * 8),
        "service": write_nix({**service, "TimeoutStopSec": stop}, " " * 8),
        "refused": write_text(IMAGE_REFUSED)[1:-1],
        "instead": write_text(IMAGE_FIX)[1:-1],
        "hub": UNIT,
        "describeagent": str(dict(agent["Unit"])["Description"]),
        "agentunit": write_nix(_group(each for each in agent["Unit"] if each[0] not in _OF_THE_UNIT), " " * 10),
        "agent": write_nix({**_group(agent["Service"]), "TimeoutStopSec": stop}, " " * 10),
        "describebuild": str(dict(build["Unit"])["Description"]),
        "buildunit": write_nix(_group(each for each in build["Unit"] if each[0] not in _OF_THE_UNIT), " " * 10),
        "build": write_nix(_group(build["Service"]), " " * 10),
    }
    text = _TEXT
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    named = {_NAME: "agent.name", _PROCESS: "agent.process", _SITE: "site.name"}
    for mark, name in named.items():
        text = text.replace(mark, f"${{{name}}}")
    return text


def _group(settings: Iterable[Setting]) -> Mapping[str, object]:
    """Settings by name; one that stands there several times is a list."""
    values: dict[str, list[object]] = {}
    for name, value in settings:
        values.setdefault(name, []).append(_with_python(value))
    return {name: each if len(each) > 1 else each[0] for name, each in values.items()}


def _with_python(value: object) -> object:
    """A command line is one of the Python that the option names."""
    if not isinstance(value, str) or INSTALLED.python not in value:
        return value
    return Expression("${cfg.python}".join(write_text(part)[1:-1] for part in value.split(INSTALLED.python)).join('""'))


def _write_places(places: Iterable[Place]) -> str:
    lines = "\n".join(f"    {write_nix(list(place))}" for place in places)
    return f"[\n{lines}\n  ]"
