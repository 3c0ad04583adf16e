"""What produced a checkpoint, for anyone to see: statement, bill of materials, signature, and their checks."""
