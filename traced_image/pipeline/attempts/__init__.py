"""The loop of attempts over the cycle of servers, and what is known of each server."""
