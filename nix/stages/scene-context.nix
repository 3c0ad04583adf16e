# Scenes: who is where, doing what.
{
  name = "scene-context";
  kind = "scene-context";
  environment = "media";
  inputs = {
    shot_reference = "shot-reference";
    bible = "bible";
    scenes = "file";
  };
  schemas = [
    "scene-context"
    "scenes"
  ];
  modules = [ "text/ranges.py" ];
}
