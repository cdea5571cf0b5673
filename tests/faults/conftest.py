"""Real servers for the fault tests."""

from support.documented import documented_answers
from support.fixtures import broker, database, platform, servers_folder
from support.measuring import fault_row

__all__ = ["broker", "database", "documented_answers", "fault_row", "platform", "servers_folder"]
