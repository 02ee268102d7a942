"""Probes of services: one file for each protocol, run in a loop of their own, never inside a scrape."""
