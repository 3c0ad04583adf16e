# materials : { python, mark } -> { film, filmMember, speech }
#
# Freely licensed material that package registries ship, by name, version and hash; see materials/licences.
{ python, mark }:
let
  sourceDistribution = name: version: sha256: python.fetch {
    inherit name version sha256;
    form = "source";
  };
in
{
  # Holds the whole of Big Buck Bunny: (c) Blender Foundation, bigbuckbunny.org, CC BY 3.0.
  film = mark [ "big-buck-bunny" ] (
    sourceDistribution "moviepy" "2.2.1" "c80cb56815ece94e5e3e2d361aa40070eeb30a09d23a24c4e684d03e16deacb1"
  );
  filmMember = {
    film_archive_member = "moviepy-2.2.1/docs/_static/medias/getting_started/moviepy_10_minutes/moviepy_10_minutes.zip";
    film_member = "moviepy_10_minutes/resources/bbb.mp4";
    film_sha256 = "475fbbf34c4c367998f80c29ea03b15a743941179b12da3373fc6706e68621d0";
  };
  # Holds five sentences of LibriVox recordings with their transcript, in the public domain.
  speech = mark [ "librivox-sense-and-sensibility" ] (
    sourceDistribution "pocketsphinx" "5.1.1" "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355"
  );
}
