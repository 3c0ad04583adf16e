"""What several stages share about pictures and sound."""
