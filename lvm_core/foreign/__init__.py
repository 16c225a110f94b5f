"""Reading embeddings that someone else saved, without trusting the file."""
