"""Video libraries: index, search, ask, and their care."""
