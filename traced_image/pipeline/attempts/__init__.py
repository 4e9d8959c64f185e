"""The loop of attempts over the cycle of servers, and the state of each server."""
