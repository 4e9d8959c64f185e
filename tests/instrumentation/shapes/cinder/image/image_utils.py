"""What to do with images; the real one must be imported before `cinder.image.glance`."""
