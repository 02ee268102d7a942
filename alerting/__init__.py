"""The aggregator: scrape, store, evaluate, route, deliver, show."""
