# The options of NixOS that a module of ours sets, and a hub's configuration as a machine has it.
hub:
let
  lib = import ./lib.nix;
  anything = lib.mkOption { type = lib.types.attrsOf lib.types.anything; default = { }; };
  nixos.options = {
    environment.etc = anything;
    networking.firewall = anything;
    systemd.services = anything;
    users.users = anything;
    users.groups = anything;
  };
  config = (lib.evalModules { modules = [ nixos hub ]; }).config;
in
{
  unit = config.systemd.services.lkhub or null;
  agents = builtins.removeAttrs config.systemd.services [ "lkhub" ];
  text = (config.environment.etc."lkhub/hub.yaml" or { text = null; }).text;
  firewall = config.networking.firewall;
  users = config.users;
}
