"""Everything that knows transformers: one class per model family, behind one interface."""
