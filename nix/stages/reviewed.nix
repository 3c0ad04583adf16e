# The captions with people's corrections on top.
{
  name = "reviewed";
  kind = "reviewed";
  environment = "media";
  inputs = {
    source = "source";
    clips = "clips";
    captions = "captions";
    bible = "episode-bible";
    overrides.optional = "file";
  };
  schemas = [
    "captions"
    "overrides"
  ];
  modules = [
    "text/captions.py"
    "text/names.py"
    "text/ranges.py"
    "text/yaml.py"
  ];
}
