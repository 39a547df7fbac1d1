"""Bulk work: whole data sets embedded or drawn, part by part, in one process or on Ray."""
