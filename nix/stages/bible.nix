# Characters, villains, places and gadgets: the only names that a caption may use.
{
  name = "bible";
  kind = "bible";
  environment = "media";
  inputs.bible = "file";
  schemas = [ "bible" ];
  modules = [
    "text/bible.py"
    "text/names.py"
    "text/yaml.py"
  ];
}
