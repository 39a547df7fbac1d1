"""Explore CLIP's space: expressions over words and images, an image index, search, and a map."""
