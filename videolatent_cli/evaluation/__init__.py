"""Whether answers are right, and what they rest on."""
