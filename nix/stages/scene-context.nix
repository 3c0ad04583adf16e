# Scenes: who is where, doing what, and what happened before.
{
  name = "scene-context";
  kind = "scene-context";
  environment = "media";
  inputs = {
    shot_reference = "shot-reference";
    bible = "episode-bible";
    scenes.optional = "file";
    clips.optional = "clips";
    shots.optional = "shots";
    bootstrap.optional = "bootstrap";
  };
  schemas = [
    "scene-context"
    "scenes"
  ];
  modules = [
    "text/names.py"
    "text/ranges.py"
    "text/yaml.py"
    "words/pictures.py"
    "words/scenes.py"
  ];
}
