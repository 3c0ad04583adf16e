"""Words by models: what hears a line and what looks at a clip, and how their answers are judged."""
