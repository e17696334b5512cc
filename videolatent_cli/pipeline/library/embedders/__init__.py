"""Search-vector back ends of a library."""
