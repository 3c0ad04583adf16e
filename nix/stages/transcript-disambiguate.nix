# Lines that may hold a name, heard again by a model that chooses among what they may have been.
{
  name = "transcript-disambiguate";
  kind = "transcript";
  environment = "vlm";
  inputs = {
    master = "master";
    source = "source";
    transcript = "transcript";
    names = "episode-names";
    model = "omni-model";
  };
  schemas = [
    "disambiguation"
    "transcript"
  ];
  modules = [
    "media/frames.py"
    "media/sound.py"
    "text/audio.py"
    "text/names.py"
    "words/answers.py"
    "words/candidates.py"
    "words/generate.py"
    "words/hearing.py"
  ];
}
