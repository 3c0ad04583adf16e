"""Renting a CUDA machine and building on it: from a quote to a verified end of the bill."""
