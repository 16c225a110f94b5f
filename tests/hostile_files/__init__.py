"""Files that nobody well-meaning writes, for every reader of the project."""
