"""Image I/O: reads untrusted image files; writes PNG files that carry a record of the drawing."""
