"""What puts the programs on machines: systemd units, the demo cluster."""
