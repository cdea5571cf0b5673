"""Real servers for the integration tests."""

from support.fixtures import broker, database, own_servers, platform, servers_folder

__all__ = ["broker", "database", "own_servers", "platform", "servers_folder"]
