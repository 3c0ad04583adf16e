"""What several stages share about models and training."""
