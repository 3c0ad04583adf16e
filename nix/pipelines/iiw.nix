# licensed : { stages, models, master, ... } -> manifest -> { iiw, iiw-english-smoke-video-only }
#
# The film pipeline's graph on the masters of the source manifest, and the same on the few that its smoke_subset names.
# What is cut from these masters is asked of no cache.
arguments@{ models, master, ... }:
manifest:
let
  film = import ./film.nix arguments;
  model = name: models.${name} or (throw "reelgraph: there is no model '${name}'; see materials/models");
  said = episode: field: episode.by_hand.${field} or episode.${field};
  isTrained = episode: episode.by_hand.train or (said episode "canonical");

  # A variant adds nothing but repetition until the variants stage has seen that its pictures are others.
  differs = episode: said episode "canonical" || (episode.by_hand.verdict.differs_meaningfully or false);
  trained =
    let
      chosen = builtins.filter isTrained manifest.episodes;
      productions = builtins.groupBy (episode: episode.production) chosen;
      check =
        episode:
        let
          others = builtins.filter (other: other.id != episode.id) productions.${episode.production};
        in
        if others == [ ] || differs episode then
          episode
        else
          throw "reelgraph: episode '${episode.id}' is another version of '${(builtins.head others).id}' (production ${episode.production}), and both are to be trained on; run the variants stage, and write its verdict under by_hand.verdict, or set by_hand.train to false";
    in
    map check chosen;

  parametersOf = episode: {
    source = {
      episode = episode.id;
      title = said episode "title";
      language = said episode "language";
      licence = manifest.work;
      inherit (episode) sha256;
    };
    transcript-base.language = said episode "language";
  };
  specification = name: episodes: {
    inherit name;
    confidential = true;
    bible = ../../materials/training-data/bible.yaml;
    models = {
      speech = model "whisper-large-v3-turbo";
      omni = model "qwen25-omni-7b";
      vision = model "qwen25-vl-7b";
      wan22 = model "wan22-ti2v-5b";
    };
    segments = 3;
    episodes = builtins.listToAttrs (
      map (episode: {
        name = episode.id;
        value = {
          master = master manifest.work episode;
          parameters = parametersOf episode;
        }
        // (
          let
            cuts = ../../materials/training-data/cuts + "/${episode.id}.json";
          in
          if builtins.pathExists cuts then { inherit cuts; } else { }
        );
      }) episodes
    );
    parameters = removeAttrs film.parameters [ "source" ] // {
      clips = film.parameters.clips // {
        width = 832;
        height = 480;
      };
      wan22-package = film.parameters.wan22-package // {
        inherit name;
      };
    };
  };
  isInSubset = episode: builtins.elem episode.id manifest.smoke_subset;
in
{
  iiw = specification "iiw" trained;
  iiw-english-smoke-video-only = specification "iiw-english-smoke-video-only" (builtins.filter isInSubset trained);
}
