"""A small nova with a client of Glance of the same shape as the real one's."""
