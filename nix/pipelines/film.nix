# film : arguments of smoke.nix -> specification
#
# The whole of Big Buck Bunny as one episode, with both shot detectors and the reader of titles: ten minutes that look like
# a licensed episode in everything but the licence.
arguments@{
  mkStage,
  stages,
  materials,
  ...
}:
let
  id = "big-buck-bunny";
  smoke = import ./smoke.nix arguments;
  whole = mkStage {
    definition = stages.excerpt;
    set = id;
    inputs = { inherit (materials) film speech; };
    parameters = {
      start_seconds = 0;
      end_seconds = null;
      inherit (materials.filmMember) film_archive_member film_member film_sha256;
      dialogue = [ ];
      speech_gain_percent = 100;
      crf = 14;
      preset = "veryfast";
    };
  };
in
smoke
// {
  name = "film";
  episodes.${id}.master = whole // {
    path = "${whole}/episode.mp4";
  };
  parameters = smoke.parameters // {
    source = smoke.parameters.source // {
      episode = id;
      title = "Big Buck Bunny";
    };
    shot-votes.decimals = 3;
    shots = smoke.parameters.shots // {
      min_scene_frames = 2;
    };
    texts = {
      looks_per_shot = 3;
      seconds_between_looks = 4.0;
      width = 640;
    };
    fingerprints = {
      frames_per_shot = 3;
      flat_sharpness = 2.0;
    };
    variants = {
      languages = [
        "en"
        "fr"
      ];
      title_seconds = 90;
      recurring_seconds = 5;
    };
    clips = smoke.parameters.clips // {
      width = 640;
      height = 352;
      frame_counts = [
        17
        25
        33
        49
        81
        97
        121
      ];
      text_area = 0.03;
      crf = 16;
      preset = "veryfast";
    };
    contact-sheet.play = true;
    wan22-package = smoke.parameters.wan22-package // {
      name = "big-buck-bunny";
    };
  };
}
