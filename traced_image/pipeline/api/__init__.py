"""What to ask of Glance by its API v1 and v2, and what the answers mean."""
