"""Targets are fetched on their own offset and become frames in the store."""
