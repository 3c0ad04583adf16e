"""Link each of $paths under its name of $names."""

import os

os.mkdir(os.environ["out"])
for name, path in zip(os.environ["names"].split(), os.environ["paths"].split(), strict=True):
    os.symlink(path, os.path.join(os.environ["out"], name))
