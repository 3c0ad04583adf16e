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
      speech_gain_percent = 100;
      crf = 14;
      preset = "veryfast";
    };
  };
  tinyQwen =
    stage:
    mkStage {
      definition = stages.${stage};
      set = "smoke";
      inputs = { };
      parameters = {
        seed = 25;
        width = 32;
        layers = 2;
      };
    };
in
{
  name = "smoke";
  bible = ../../materials/smoke/bible.yaml;
  models = {
    speech = models.whisper-tiny-en;
    wan22 = mkStage {
      definition = stages.wan22-tiny;
      set = "smoke";
      inputs = { };
      parameters = {
        architecture = "Wan2.2-TI2V-5B";
        seed = 22;
        dit_dim = 48;
        dit_ffn_dim = 192;
        dit_heads = 2;
        dit_layers = 3;
        text_dim = 64;
        text_heads = 4;
        text_layers = 2;
        vae_dim = 4;
      };
    };
    omni = tinyQwen "qwen25-omni-tiny";
    vision = tinyQwen "qwen25-vl-tiny";
  };
  segments = 3;
  episodes.${id} = {
    master = excerpt // {
      path = "${excerpt}/episode.mp4";
    };
    scenes = ../../materials/smoke/scenes.yaml;
    speakers = ../../materials/smoke/speakers.yaml;
    labels = ../../materials/smoke/labels.yaml;
    overrides = ../../materials/smoke/overrides.yaml;
  };
  parameters = {
    source = {
      episode = id;
      title = "Big Buck Bunny, 150 s to 230 s, with spoken lines";
      language = "en";
      licence = "CC-BY-3.0";
      sha256 = null;
    };
    shots = {
      adaptive_threshold = 3.0;
      min_scene_frames = 8;
      window_width = 2;
      min_content_value = 15.0;
      network_threshold = 0.5;
      black_luma = 10;
    };
    clips = {
      fps = 24;
      width = 320;
      height = 192;
      frame_counts = [
        17
        25
        33
        49
      ];
      trim_frames = 2;
      black_luma = 10;
      repeat_change = 0.1;
      still_share = 0.95;
      text_boxes = 5;
      text_area = 0.05;
      tag_repeats = 0.8;
      tag_blur_percentile = 5;
      crf = 14;
      preset = "medium";
    };
    transcript-base = {
      language = "en";
      beam_size = 5;
      compute_type = "int8";
      device = "cpu";
      cpu_threads = 2;
      batch_size = 1;
      word_delay_seconds = 0.16;
      voice_activity_threshold = 0.5;
      minimum_silence_seconds = 2.0;
      speech_padding_seconds = 0.4;
      no_speech_threshold = 0.6;
      log_probability_threshold = -1.0;
      compression_ratio_threshold = 2.4;
      repetition_limit = 4;
    };
    # Less alike than a name ever sounds, so that the toy model is asked although no line holds a name.
    transcript-disambiguate = {
      device = "cpu";
      dtype = "float32";
      batch_size = 4;
      new_tokens = 24;
      least_similarity = 0.55;
      most_candidates = 4;
      largest_distance = 0.35;
      padding_seconds = 0.3;
    };
    scene-context = {
      picture_distance = 0.2;
      lookback_seconds = 20;
    };
    # Every clip has a person's label; the toy model captions four of them beside it.
    caption = {
      minimum_words = 15;
      maximum_words = 60;
      device = "cpu";
      dtype = "float32";
      frames = 8;
      largest_frame_pixels = 61440;
      batch_size = 4;
      new_tokens = 48;
      repetition_penalty = 1.05;
      compared_clips = 4;
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
    # The sound goes with the clips for LTX-2; Wan2.2 has none.
    clip-sound = { };
    ltx2-data = {
      name = "big-buck-bunny-smoke";
      trigger = "";
      fps = 24;
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
    wan22-plan = {
      seed = 22;
      epochs = 1;
      dataset_repeat = 20;
      gradient_accumulation = 4;
      segments_per_epoch = 3;
      learning_rate = 2.0e-5;
      warmup_steps = 10;
      weight_decay = 0.01;
      gradient_clip = 1.0;
      lora_rank = 16;
      timestep_shift = 5.0;
      expert = "all";
      timestep_minimum = 0.0;
      timestep_maximum = 1.0;
      first_frame_probability = 0.5;
      token_limit = 0;
      held_out_shots = 2;
      held_out_timesteps = [
        100
        400
        700
        900
      ];
    };
    wan22-train = {
      device = "cpu";
      dtype = "float32";
      recompute = "none";
      profile = "exact";
      processes = 1;
    };
    checkpoint = {
      name = "big-buck-bunny-smoke";
      licence = "CC BY 3.0";
      attribution = "Big Buck Bunny, (c) Blender Foundation, bigbuckbunny.org";
    };
    samples = {
      text_to_image = [ "Big Buck Bunny, a large gray rabbit, stands in a sunny forest." ];
      text_to_video = [ "Big Buck Bunny, a large gray rabbit, walks through a sunny forest." ];
      image_to_video = [ "" ];
      negative_prompt = "";
      seed = 22;
      steps = 6;
      guidance = 3.0;
      frames = 17;
      width = 320;
      height = 192;
      fps = 24;
      device = "cpu";
      dtype = "float32";
    };
    report = {
      title = "Reelgraph smoke";
      attributions = [
        "Big Buck Bunny, (c) Blender Foundation, bigbuckbunny.org, CC BY 3.0; cut, and mixed with spoken lines"
        "Spoken lines: LibriVox recordings, public domain, as shipped with pocketsphinx"
      ];
    };
  };
}
