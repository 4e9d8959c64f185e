"""Real parts for tests: OpenStack services and databases, installed, started and stopped."""
