"""The source manifest: which masters there are, what each is, and which of them a pipeline reads."""
