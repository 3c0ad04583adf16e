# mkPipeline : { mkStage, stages, links } -> specification -> pipeline
#
# THE picture: masters -> one chain an episode -> dataset -> segments of training -> checkpoint -> report.
#
#   specification  { name, episodes, compared ? episodes, bible, models, segments, parameters }
#     episodes     { <id> = { master, cuts ? , scenes ? , labels ? , overrides ? , speakers ? , bibleEpisode ? , parameters ? { } }; }
#     compared     the same, of every master that the variants stage compares, trained on or not
#     models       { speech, wan22 or ltx2, text_encoder ? , vision ? , omni ? }; without omni no line is heard twice, without
#                  vision all have labels; text_encoder is Gemma where ltx2 does not hold it
#     segments     how many derivations the training is cut into
#     parameters   { <stage> = { … }; }; an episode's own come on top
#     confidential whether what is made of the masters stays out of binary caches; no by default
#
# Example: mkPipeline (import ./pipelines/smoke.nix { … })
{
  mkStage,
  stages,
  links,
}:
{
  name,
  episodes,
  compared ? episodes,
  bible,
  models,
  segments,
  parameters,
  confidential ? false,
}:
let
  closure = import ./closure.nix;

  stageOf =
    set: own: stage: inputs:
    let
      chosen = (parameters.${stage} or { }) // (own.${stage} or { });
    in
    mkStage {
      definition = stages.${stage} // {
        inherit confidential;
        # A stage that computes on a GPU is built only where one is offered.
        cuda = stages.${stage}.cuda or false || builtins.match "cuda.*" (chosen.device or "cpu") != null;
      };
      inherit set inputs;
      parameters = chosen;
    };
  perDataset = stageOf name { };
  isAsked = stage: parameters ? ${stage};

  # Which model is trained decides how clips and captions are encoded; the plan and the trainer are the same.
  family = if models ? ltx2 then "ltx2" else "wan22";
  model = models.${family};
  text_encoder = models.text_encoder or null;

  theBible = perDataset "bible" { inherit bible; };

  episode =
    id:
    {
      master,
      cuts ? null,
      scenes ? null,
      labels ? null,
      overrides ? null,
      speakers ? null,
      bibleEpisode ? id,
      parameters ? { },
    }:
    let
      perEpisode = stageOf id parameters;
      named = stageOf id {
        episode-bible.episode = bibleEpisode;
        episode-names.episode = bibleEpisode;
      };
      episode_bible = named "episode-bible" { bible = theBible; };
      names = named "episode-names" { bible = theBible; };
      source = perEpisode "source" { inherit master; };
      # Only pipelines that have parameters for them ask the network and the reader.
      whereAsked = stage: inputs: if isAsked stage then perEpisode stage inputs else null;
      shot-votes = whereAsked "shot-votes" { inherit master source; };
      shots = perEpisode "shots" {
        inherit master source;
        votes = shot-votes;
        overrides = cuts;
      };
      texts = whereAsked "texts" { inherit master source shots; };
      fingerprints = whereAsked "fingerprints" { inherit master source shots; };
      clips = perEpisode "clips" {
        inherit
          master
          source
          shots
          texts
          ;
        overrides = cuts;
      };
      transcript = perEpisode "transcript-base" {
        inherit master source;
        model = models.speech;
      };
      disambiguated =
        if models ? omni then
          perEpisode "transcript-disambiguate" {
            inherit
              master
              source
              transcript
              names
              ;
            model = models.omni;
          }
        else
          transcript;
      shot_reference = perEpisode "shot-reference" {
        inherit shots speakers;
        transcript = disambiguated;
      };
      scene_context = perEpisode "scene-context" (
        {
          inherit shot_reference scenes;
          bible = episode_bible;
        }
        # Pictures are looked at only where no person has said what the scenes are.
        // (if scenes == null then { inherit clips shots bootstrap; } else { })
      );
      clip-sound = whereAsked "clip-sound" { inherit master source clips; };
      contact-sheet = whereAsked "contact-sheet" { inherit source shots clips; };
      bootstrap = perEpisode "bootstrap" { inherit clips shots labels; };
      caption = perEpisode "caption" {
        inherit clips scene_context bootstrap;
        bible = episode_bible;
        model = models.vision or null;
      };
      reviewed = perEpisode "reviewed" {
        inherit source clips overrides;
        captions = caption;
        bible = episode_bible;
      };
    in
    {
      inherit
        master
        source
        shot-votes
        shots
        texts
        fingerprints
        clips
        clip-sound
        contact-sheet
        bootstrap
        caption
        reviewed
        ;
      transcript-base = transcript;
      transcript-disambiguate = disambiguated;
      shot-reference = shot_reference;
      scene-context = scene_context;
    }
    // encode {
      inherit perEpisode clips reviewed;
      sound = clip-sound;
    };

  encode =
    {
      perEpisode,
      clips,
      reviewed,
      sound,
    }:
    {
      wan22 = {
        latents = perEpisode "wan22-latents" { inherit clips model; };
        text = perEpisode "wan22-text" {
          captions = reviewed;
          inherit model;
        };
      };
      ltx2 = {
        latents = perEpisode "ltx2-video-latents" { inherit clips model; };
        audio-latents = if sound == null then null else perEpisode "ltx2-audio-latents" { inherit sound model; };
        text = perEpisode "ltx2-text" {
          captions = reviewed;
          inherit model text_encoder;
        };
      };
    }
    .${family};

  chains = builtins.mapAttrs episode episodes;
  of = chains: stage: builtins.mapAttrs (_: chain: chain.${stage}) chains;
  each = of chains;

  seen = of (builtins.mapAttrs episode compared);
  variants = if isAsked "variants" then perDataset "variants" {
    fingerprints = seen "fingerprints";
    texts = seen "texts";
  } else null;

  # For the whole set or for none of it.
  soundOf = stage: if isAsked "clip-sound" then each stage else { };
  dataset = {
    wan22 = perDataset "wan22-package" {
      clips = each "clips";
      captions = each "reviewed";
    };
    ltx2 = perDataset "ltx2-data" {
      clips = each "clips";
      captions = each "reviewed";
      sound = soundOf "clip-sound";
    };
  };
  package = dataset.${family};
  encoded = {
    latents = each "latents";
    text = each "text";
  }
  // (if family == "ltx2" then { sound = soundOf "audio-latents"; } else { });
  plan = perDataset "${family}-plan" (encoded // { inherit package; });

  segment =
    index:
    let
      perSegment = stageOf "${name}-segment-${toString index}" {
        segment-plan.segment = index;
        "${family}-train".segment = index;
      };
    in
    perSegment "${family}-train" (
      encoded
      // {
        plan = perSegment "segment-plan" { inherit plan; };
        inherit model;
        previous = if index == 0 then null else trained.${toString (index - 1)};
      }
    );
  trained = builtins.listToAttrs (
    builtins.genList (index: {
      name = toString index;
      value = segment index;
    }) segments
  );

  # Two digits, so that their order is the order of their names.
  numbered = builtins.listToAttrs (
    builtins.genList (index: {
      name = (if index < 10 then "0" else "") + toString index;
      value = trained.${toString index};
    }) segments
  );
  checkpoint = perDataset "checkpoint" {
    segments = numbered;
    inherit plan package model;
  };
  samples =
    {
      wan22 = perDataset "samples" { inherit checkpoint package model; };
      ltx2 = perDataset "ltx2-samples" {
        inherit
          checkpoint
          package
          model
          text_encoder
          ;
      };
    }
    .${family};
  report = perDataset "report" {
    source = each "source";
    shots = each "shots";
    clips = each "clips";
    transcript = each "transcript-base";
    captions = each "reviewed";
    inherit
      package
      plan
      checkpoint
      samples
      model
      ;
  };

  provenance = closure [
    checkpoint
    samples
    report
  ];
  bundle = perDataset "bundle" {
    inherit
      checkpoint
      samples
      report
      provenance
      ;
  };
  everything = closure [ bundle ];
in
{
  episodes = chains;
  bible = theBible;
  inherit dataset model;
  latents = links "${name}-latents" encoded.latents // encoded.latents;
  text = links "${name}-text" encoded.text // encoded.text;
  # What was encoded, as the model's own trainer reads it.
  preprocess = if family == "ltx2" then perDataset "ltx2-preprocess" (encoded // { inherit package; }) else null;
  segments = trained;
  inherit
    variants
    plan
    checkpoint
    samples
    report
    bundle
    ;
  # Every stage by "<set>/<stage>", and the same as data for those who draw or compare it.
  stages = everything;
  graph = builtins.mapAttrs (_: stage: {
    inherit (stage)
      kind
      environment
      parameters
      edges
      ;
  }) everything;
}
