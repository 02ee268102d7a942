"""What both daemons share: how they log, how they speak to systemd."""
