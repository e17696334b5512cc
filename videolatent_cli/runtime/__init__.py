"""How a command runs on a machine: logs, locks, interruption, progress, worker processes."""
