"""EchoChat: users, rooms and messages. Calls are the hub's."""
