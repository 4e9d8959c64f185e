"""nova's use of Glance."""
