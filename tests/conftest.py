"""What every test shares: one hypothesis profile."""

from hypothesis import HealthCheck, settings

settings.register_profile("autonomy", deadline=None, max_examples=60, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("autonomy")
