# Speech with word times, and what was heard but dropped.
{
  name = "transcript-base";
  kind = "transcript";
  environment = "asr";
  inputs = {
    master = "master";
    source = "source";
    model = "speech-model";
  };
  schemas = [ "transcript" ];
  modules = [
    "text/audio.py"
    "text/transcript.py"
  ];
}
