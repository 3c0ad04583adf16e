# The captions with a person's corrections on top.
{
  name = "reviewed";
  kind = "reviewed";
  environment = "media";
  inputs = {
    clips = "clips";
    captions = "captions";
    bible = "bible";
    overrides = "file";
  };
  schemas = [
    "captions"
    "overrides"
  ];
  modules = [
    "text/captions.py"
    "text/names.py"
    "text/ranges.py"
  ];
}
