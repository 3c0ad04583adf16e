# What of the bible an episode can show, so that editing one character rebuilds that character's episodes.
{
  name = "episode-bible";
  kind = "episode-bible";
  environment = "media";
  inputs.bible = "bible";
  schemas = [ "bible" ];
  modules = [
    "text/bible.py"
    "text/names.py"
    "text/part.py"
    "text/yaml.py"
  ];
}
