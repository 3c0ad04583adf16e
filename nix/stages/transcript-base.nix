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
    "media/frames.py"
    "media/sound.py"
    "text/audio.py"
    "text/transcript.py"
    "words/windows.py"
  ];
}
