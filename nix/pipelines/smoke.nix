# smoke : { mkStage, stages, materials, models, ... } -> specification
#
# The whole pipeline on freely licensed material and toy-sized models: 80 seconds of Big Buck Bunny with spoken lines.
{
  mkStage,
  stages,
  materials,
  models,
  ...
}:
let
  id = "big-buck-bunny-excerpt";
  excerpt = mkStage {
    definition = stages.excerpt;
    set = id;
    inputs = { inherit (materials) film speech; };
    parameters = {
      start_seconds = 150;
      end_seconds = 230;
      inherit (materials.filmMember) film_archive_member film_member film_sha256;
      dialogue = builtins.fromJSON (builtins.readFile ../../materials/smoke/dialogue.json);
    };
  };
in
{
  name = "smoke";
  bible = ../../materials/smoke/bible.json;
  models = {
    speech = models.whisper-tiny-en;
    wan22 = mkStage {
      definition = stages.wan22-tiny;
      set = "smoke";
      inputs = { };
      parameters = {
        seed = 22;
        dit_dim = 96;
        dit_ffn_dim = 384;
        dit_heads = 4;
        dit_layers = 4;
        text_dim = 64;
        text_heads = 4;
        text_layers = 2;
        vae_dim = 4;
      };
    };
  };
  segments = 3;
  episodes.${id} = {
    master = excerpt // {
      path = "${excerpt}/episode.mp4";
    };
    scenes = ../../materials/smoke/scenes.json;
    labels = ../../materials/smoke/labels.json;
    overrides = ../../materials/smoke/overrides.json;
  };
  parameters = {
    source = {
      episode = id;
      title = "Big Buck Bunny, 150 s to 230 s, with spoken lines";
      language = "en";
      licence = "CC-BY-3.0";
      sha256 = null;
    };
    transcript-base = {
      language = "en";
      beam_size = 5;
      compute_type = "int8";
      cpu_threads = 2;
      voice_activity_threshold = 0.5;
      minimum_silence_seconds = 2.0;
      speech_padding_seconds = 0.4;
      no_speech_threshold = 0.6;
      log_probability_threshold = -1.0;
      compression_ratio_threshold = 2.4;
      repetition_limit = 4;
    };
    caption = {
      minimum_words = 15;
      maximum_words = 60;
    };
    reviewed = {
      minimum_words = 15;
      maximum_words = 60;
    };
    wan22-package = {
      name = "big-buck-bunny-smoke";
      trigger = "";
      fps = 24;
      side_multiple = 32;
    };
    wan22-latents = {
      device = "cpu";
      dtype = "float32";
    };
    wan22-text = {
      trigger = "";
      device = "cpu";
      dtype = "float32";
    };
  };
}
