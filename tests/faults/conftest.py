"""Real servers for the fault tests."""

from support.documented import documented_answers
from support.fixtures import broker, database, platform, servers_folder

__all__ = ["broker", "database", "documented_answers", "platform", "servers_folder"]
