# Written by lkhub from hub.yaml: a configuration of NixOS imports it.
{
  imports = [ ./lkhub.nix ];
  services.lkhub = {
    enable = true;
    settings = {
      reach = "public";
      domain = "rtc.example.com";
      media = {
        udp = "50000-50099";
      };
      rooms = [
        {
          match = "voice-*";
          capacity = 16;
        }
      ];
    };
  };
  networking.firewall = {
    allowedTCPPorts = [ 80 443 7881 ];
    allowedUDPPorts = [ 3478 ];
    allowedUDPPortRanges = [
      {
        from = 50000;
        to = 50099;
      }
    ];
  };
}
