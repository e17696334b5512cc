"""Data: records, triplets, questions, data sets, and the EventWorld family of videos."""
