"""The firewall table as commands and files for people. Pure."""
