"""Real servers for the fault tests."""

from support.fixtures import broker, database, platform, servers_folder
from support.measuring import fault_row

__all__ = ["broker", "database", "fault_row", "platform", "servers_folder"]
