"""Samples and alert state on disk. Rooms above see only the protocols in ``ports``."""
