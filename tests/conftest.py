"""What every test shares: the path to `support`, one hypothesis profile, and the mark of the long runs."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))
settings.register_profile(
    "autonomy", deadline=None, max_examples=60, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("autonomy")


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark, so that strict markers accept it."""
    config.addinivalue_line("markers", "long: larger bounds; only on request (-m long)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long runs out unless a mark expression asks for them."""
    if config.option.markexpr:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
