"""Link a model's files under its repository's names, with stage.json (their hashes) and model.json (their roles)."""

import json
import os
from pathlib import Path


def read(name: str) -> dict:
    """Return one of the derivation's attributes, which come as files because a hundred shards fill an environment."""
    return json.loads(Path(os.environ[f"{name}Path"]).read_text(encoding="utf-8"))


out = Path(os.environ["out"])
for name, source in read("links").items():
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).symlink_to(source)
for file, attribute in (("stage.json", "manifest"), ("model.json", "description")):
    text = json.dumps(read(attribute), indent=2, sort_keys=True, ensure_ascii=False)
    (out / file).write_text(text + "\n", encoding="utf-8")
