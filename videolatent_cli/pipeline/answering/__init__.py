"""Answer documents: from a question and the features of a clip to the answer and its evidence."""
