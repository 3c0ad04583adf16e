# A caption for each clip: a person's label, else a vision model's answer that keeps to the rules.
{
  name = "caption";
  kind = "captions";
  environment = "vlm";
  inputs = {
    clips = "clips";
    scene_context = "scene-context";
    bible = "episode-bible";
    bootstrap = "bootstrap";
    model.optional = "vision-model";
  };
  schemas = [
    "answers"
    "captions"
  ];
  modules = [
    "text/captions.py"
    "text/names.py"
    "text/ranges.py"
    "words/answers.py"
    "words/generate.py"
    "words/prompts.py"
    "words/vision.py"
  ];
}
