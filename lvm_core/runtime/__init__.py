"""What every other package stands on: errors, files, progress, interruption, processes, hardware."""
