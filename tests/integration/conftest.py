"""Real servers for the integration tests."""

from support.fixtures import broker, database, own_servers, platform, servers_folder
from support.measuring import fault_row

__all__ = ["broker", "database", "fault_row", "own_servers", "platform", "servers_folder"]
