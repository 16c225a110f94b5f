"""Corpora: readers of articles, the paragraph chunker, and the tables of chunks and articles made from them."""
