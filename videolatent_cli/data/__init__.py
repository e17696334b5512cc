"""From records to triplets: formats, data sets, and the EventWorld family."""
