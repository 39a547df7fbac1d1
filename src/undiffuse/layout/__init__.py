"""Layouts: which things a prompt names, where they go, and pictures composed of them."""
