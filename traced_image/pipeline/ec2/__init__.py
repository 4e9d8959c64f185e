"""The image service as nova's EC2 API knew it: images by integers."""
