"""Building stages a second time and saying whether, where and how the two results differ."""
