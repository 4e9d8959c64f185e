"""The storage of images."""
