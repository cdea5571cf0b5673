"""The Bots page: what every bot does now, and why; it reads the proof API and derives nothing itself."""
