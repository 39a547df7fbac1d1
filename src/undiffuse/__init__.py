"""undiffuse pulls pictures out of noise."""

__version__ = "0.1.0"
