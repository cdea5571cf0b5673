"""The version of the platform: one for all its packages, which are released together.

It is a module of its own: what the engine imports is part of the evidence's code hash, and a new version alone makes no evidence old.
It is written out, since the container image runs the sources and installs no package whose metadata could be asked.
"""

from typing import Final

VERSION: Final = "0.1.0"
