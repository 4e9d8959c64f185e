"""Every reader of text and bytes on odd input, from a seed, for as long as it is told."""
