# Which clip has a caption that a person wrote before, and how it was matched.
{
  name = "bootstrap";
  kind = "bootstrap";
  environment = "media";
  inputs = {
    clips = "clips";
    shots = "shots";
    labels.optional = "file";
  };
  schemas = [
    "bootstrap"
    "labels"
  ];
  modules = [
    "text/captions.py"
    "text/names.py"
    "text/ranges.py"
    "text/yaml.py"
    "words/labels.py"
    "words/pictures.py"
  ];
}
