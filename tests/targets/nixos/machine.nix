# The options of NixOS that a module of ours sets, and a hub's configuration as a machine has it.
hub:
let
  lib = import ./lib.nix;
  anything = lib.mkOption { type = lib.types.attrsOf lib.types.anything; default = { }; };
  nixos.options = {
    assertions = lib.mkOption { type = lib.types.listOf lib.types.anything; default = [ ]; };
    environment.etc = anything;
    networking.firewall = anything;
    systemd.services = anything;
    users.users = anything;
    users.groups = anything;
  };
  config = (lib.evalModules { modules = [ nixos hub ]; }).config;
  # As NixOS does (nixos/modules/system/activation/top-level.nix).
  failed = builtins.filter (each: !each.assertion) config.assertions;
in
if failed != [ ] then
  throw "\nFailed assertions:\n${builtins.concatStringsSep "\n" (map (each: "- ${each.message}") failed)}"
else
{
  unit = config.systemd.services.lkhub or null;
  others = builtins.removeAttrs config.systemd.services [ "lkhub" ];
  text = (config.environment.etc."lkhub/hub.yaml" or { text = null; }).text;
  firewall = config.networking.firewall;
  users = config.users;
}
