# Shot boundaries.
{
  name = "shots";
  kind = "shots";
  environment = "media";
  inputs = {
    master = "master";
    source = "source";
  };
  schemas = [
    "probe"
    "shots"
  ];
  modules = [ ];
}
