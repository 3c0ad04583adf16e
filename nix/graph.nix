# mkPipeline : { mkStage, stages, links } -> specification -> pipeline
#
# THE picture: masters -> one chain an episode -> dataset -> segments of training -> checkpoint -> report.
#
#   specification  { name, episodes, compared ? episodes, bible, models, segments, parameters }
#     episodes     { <id> = { master, cuts ? , scenes ? , labels ? , overrides ? , speakers ? , bibleEpisode ? , parameters ? { } }; }
#     compared     the same, of every master that the variants stage compares, trained on or not
#     models       { speech, wan22, vision ? , omni ? }; without omni no line is heard twice, without vision all have labels
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
            inherit master transcript names;
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
        // (if scenes == null then { inherit clips shots; } else { })
      );
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
        contact-sheet
        bootstrap
        caption
        reviewed
        ;
      transcript-base = transcript;
      transcript-disambiguate = disambiguated;
      shot-reference = shot_reference;
      scene-context = scene_context;
      latents = perEpisode "wan22-latents" {
        inherit clips;
        model = models.wan22;
      };
      text = perEpisode "wan22-text" {
        captions = reviewed;
        model = models.wan22;
      };
    };

  chains = builtins.mapAttrs episode episodes;
  of = chains: stage: builtins.mapAttrs (_: chain: chain.${stage}) chains;
  each = of chains;

  seen = of (builtins.mapAttrs episode compared);
  variants = if isAsked "variants" then perDataset "variants" {
    fingerprints = seen "fingerprints";
    texts = seen "texts";
  } else null;

  package = perDataset "wan22-package" {
    clips = each "clips";
    captions = each "reviewed";
  };
  encoded = {
    latents = each "latents";
    text = each "text";
  };
  plan = perDataset "wan22-plan" (encoded // { inherit package; });

  segment =
    index:
    let
      perSegment = stageOf "${name}-segment-${toString index}" {
        segment-plan.segment = index;
        wan22-train.segment = index;
      };
    in
    perSegment "wan22-train" (
      encoded
      // {
        plan = perSegment "segment-plan" { inherit plan; };
        model = models.wan22;
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
    inherit plan package;
    model = models.wan22;
  };
  samples = perDataset "samples" {
    inherit checkpoint package;
    model = models.wan22;
  };
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
      ;
    model = models.wan22;
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
  dataset.wan22 = package;
  model = models.wan22;
  latents = links "${name}-latents" encoded.latents // encoded.latents;
  text = links "${name}-text" encoded.text // encoded.text;
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
