"""Samples into and out of a data folder: import, export, backup."""
