"""Real servers for the fault tests."""

from support.fixtures import broker, database, platform, servers_folder

__all__ = ["broker", "database", "platform", "servers_folder"]
