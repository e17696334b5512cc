"""Running a command on a machine: logs, locks, interruption, progress, worker processes."""
