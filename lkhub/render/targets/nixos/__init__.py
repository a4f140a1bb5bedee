"""`lkhub render nixos`: a module of NixOS, and the configuration of one hub."""
