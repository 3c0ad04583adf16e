# A caption for each clip.
{
  name = "caption";
  kind = "captions";
  environment = "media";
  inputs = {
    clips = "clips";
    scene_context = "scene-context";
    bible = "bible";
    labels = "file";
  };
  schemas = [
    "captions"
    "labels"
  ];
  modules = [
    "text/captions.py"
    "text/names.py"
    "text/ranges.py"
  ];
}
