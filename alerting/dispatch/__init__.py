"""Which receiver hears of an alert, and together with which others."""
