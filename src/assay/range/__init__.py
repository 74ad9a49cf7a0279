"""The range: makes labelled fakes with exact masks and recipes, and the launderings that media go through on their way."""
