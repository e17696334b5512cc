"""From a question and the features of a clip to an answer document."""
