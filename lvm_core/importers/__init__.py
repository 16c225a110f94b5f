"""Vectors of others, in many forms of files, made a bank."""
