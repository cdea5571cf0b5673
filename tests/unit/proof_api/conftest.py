"""Every answer that these tests get from the application is as docs/openapi.json says."""

from support.documented import documented_answers

__all__ = ["documented_answers"]
