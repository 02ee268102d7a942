"""Readings become samples. A collector has one method; the runner judges it."""
