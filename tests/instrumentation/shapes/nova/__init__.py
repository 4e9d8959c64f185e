"""A small nova of the same shape as the real one, for tests of its adapter."""
