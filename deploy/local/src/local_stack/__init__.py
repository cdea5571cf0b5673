"""Real Kafka and PostgreSQL as plain processes."""
