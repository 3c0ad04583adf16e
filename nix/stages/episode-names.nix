# The names that an episode's words may use, without what the named look like.
{
  name = "episode-names";
  kind = "episode-names";
  environment = "media";
  inputs.bible = "bible";
  schemas = [ "episode-names" ];
  modules = [
    "text/bible.py"
    "text/names.py"
    "text/part.py"
    "text/yaml.py"
  ];
}
