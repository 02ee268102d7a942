"""Doors to the outside: every file tree and third-party library is read in exactly one module here."""
