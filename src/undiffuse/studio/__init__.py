"""The studio: a page and an HTTP API that draw with a loaded model."""
