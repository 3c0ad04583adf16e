"""What several stages share about words."""
