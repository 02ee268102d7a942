"""From a group of alerts to a delivered message: words, outbox, Apprise."""
