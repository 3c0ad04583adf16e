"""One script a stage: a function from inputs and parameters to one output directory."""
