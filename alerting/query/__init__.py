"""Asking with PromQL from the command line."""
