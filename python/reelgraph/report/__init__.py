"""What a person looks at in the end: the page of a training run, and the chain of hashes behind it."""
