"""cinder's use of Glance."""
