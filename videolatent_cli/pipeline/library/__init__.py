"""Video libraries: indexing, search, questions and maintenance."""
