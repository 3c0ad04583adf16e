# licensed : { stages, models, master, ... } -> manifest -> { iiw, iiw-ltx2, iiw-english-smoke-video-only }
#
# The film pipeline's graph on the masters of the source manifest, and the same on the few that its smoke_subset names.
# What is cut from these masters is asked of no cache. What a person wrote for an episode lies in
# materials/training-data/<what>/<episode>.<json or yaml>, and counts where it is there.
arguments@{ models, master, ... }:
manifest:
let
  film = import ./film.nix arguments;
  data = ../../materials/training-data;
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
  byHand =
    episode:
    let
      inherit (episode) id;
      mapped = said episode "bible_episode";
      # Captions of the old bible lie under its own number of the episode, where no one wrote others for this master.
      own = data + "/labels/${id}.yaml";
      files = {
        cuts = data + "/cuts/${id}.json";
        scenes = data + "/scenes/${id}.yaml";
        labels = if mapped == null || builtins.pathExists own then own else data + "/labels/${mapped}.yaml";
        overrides = data + "/overrides/${id}.yaml";
        speakers = data + "/speakers/${id}.yaml";
      };
    in
    removeAttrs files (builtins.filter (name: !builtins.pathExists files.${name}) (builtins.attrNames files));
  # Stages that read no name build without it.
  bible =
    if builtins.pathExists (data + "/bible.yaml") then
      data + "/bible.yaml"
    else if builtins.pathExists (data + "/bible") then
      data + "/bible"
    else
      {
        type = "missing";
        name = "bible.yaml";
        outPath = throw "reelgraph: materials/training-data/bible.yaml is not there, nor a folder bible; captions may use no other names than its, so write one, like materials/smoke/bible.yaml, and let git know it";
      };
  work =
    let
      file = ../../materials/licences/works + "/${manifest.work}.json";
    in
    if builtins.pathExists file then
      builtins.fromJSON (builtins.readFile file)
    else
      throw "reelgraph: materials/licences/works/${manifest.work}.json is not there; say there under whose terms the masters of the manifest may be used, as docs/licences.md shows, and let git know it";

  onCuda = parameters: parameters // { device = "cuda"; dtype = "bfloat16"; };
  smoke = film.parameters;
  chainsOf =
    episodes:
    builtins.listToAttrs (
      map (episode: {
        name = episode.id;
        value = {
          master = master manifest.work episode;
          parameters = parametersOf episode;
        }
        // (if said episode "bible_episode" == null then { } else { bibleEpisode = said episode "bible_episode"; })
        // byHand episode;
      }) episodes
    );
  specification =
    {
      name,
      episodes,
      epochs,
    }:
    {
      inherit name bible;
      confidential = true;
      models = {
        speech = model "whisper-large-v3-turbo";
        omni = model "qwen25-omni-7b";
        vision = model "qwen25-vl-7b";
        wan22 = model "wan22-ti2v-5b";
      };
      segments = epochs * smoke.wan22-plan.segments_per_epoch;
      episodes = chainsOf episodes;
      # Masters that are not trained on too: which of them may be is what the stage finds out.
      compared = chainsOf manifest.episodes;
      parameters = removeAttrs smoke [ "source" ] // {
        clips = smoke.clips // {
          width = 832;
          height = 480;
        };
        # The tiny model's delay is not the large one's, which nobody has measured.
        transcript-base = removeAttrs smoke.transcript-base [ "language" ] // {
          compute_type = "float16";
          device = "cuda";
          batch_size = 8;
          word_delay_seconds = 0;
        };
        transcript-disambiguate = onCuda smoke.transcript-disambiguate // {
          least_similarity = 0.75;
        };
        caption = onCuda smoke.caption // {
          frames = 16;
          largest_frame_pixels = 200704;
          batch_size = 16;
          new_tokens = 256;
        };
        wan22-package = smoke.wan22-package // {
          inherit name;
        };
        wan22-latents = onCuda smoke.wan22-latents;
        wan22-text = onCuda smoke.wan22-text;
        wan22-plan = smoke.wan22-plan // {
          inherit epochs;
          learning_rate = 1.0e-4;
          lora_rank = 32;
        };
        wan22-train = onCuda smoke.wan22-train // {
          recompute = "auto";
        };
        checkpoint = {
          inherit name;
          inherit (work) licence attribution;
        };
        samples = onCuda smoke.samples // {
          text_to_image = [ ];
          text_to_video = [ ];
          # Of the first clip: nothing else is known to be shown by every series.
          image_to_video = [ "" ];
          steps = 50;
          guidance = 5.0;
          frames = 81;
          width = 832;
          height = 480;
        };
        report = {
          title = name;
          attributions = [ "${work.title}: ${if work.attribution == "" then work.source else work.attribution}" ];
        };
      };
    };
  isInSubset = episode: builtins.elem episode.id manifest.smoke_subset;
in
{
  iiw = specification {
    name = "iiw";
    episodes = trained;
    epochs = 5;
  };
  iiw-ltx2 = import ./ltx2.nix arguments "iiw-ltx2" (specification {
    name = "iiw-ltx2";
    episodes = trained;
    epochs = 3;
  });
  iiw-english-smoke-video-only = specification {
    name = "iiw-english-smoke-video-only";
    episodes = builtins.filter isInSubset trained;
    epochs = 1;
  };
}
