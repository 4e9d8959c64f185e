"""The image service of nova's EC2 API, which names images by integers."""
