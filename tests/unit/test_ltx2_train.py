"""From a toy LTX-2 to samples with sound: encoding, plan, training, checkpoint, each stage run once for all tests."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from diffsynth.pipelines.ltx2_audio_video import LTX2AudioVideoUnit_PromptEmbedder
from diffusers import LTX2Pipeline, LTX2VideoTransformer3DModel
from ltx_workshop import PLAN, TINY, Workshop, change_json, write_episode
from safetensors import safe_open
from workshop import CLIPS, CPU, CREDITS, EPISODE, make, start

from reelgraph.errors import StageError
from reelgraph.files import read_json, tree_files
from reelgraph.stages import checkpoint, ltx2_plan, ltx2_preprocess, ltx2_samples, ltx2_text, ltx2_tiny, ltx2_train
from reelgraph.train.ltx import load_ltx
from reelgraph.train.ltx_flow import LtxSample, level, ltx_loss
from reelgraph.train.ltx_loader import LtxLoader
from reelgraph.train.ltx_memory import LTX2
from reelgraph.train.ltx_model import PARTS, describe_ltx
from reelgraph.train.ltx_padding import padded, padding_mask
from reelgraph.train.ltx_trainer import inject_ltx_lora, target_layers
from reelgraph.train.ltx_transformer import LtxTransformer, video_positions
from reelgraph.train.memory import explain_out_of_memory
from reelgraph.train.plan import MicroStep, read_segment
from reelgraph.train.prompts import prompt_hash
from reelgraph.train.tensors import read_tensors, write_tensors

TEXT_LENGTH, VIDEO, SOUND = 1024, [128, 3, 3, 4], [8, 18, 16]
# At 400fd310: scripts/process_videos.py and process_captions.py write these, src/ltx_trainer/datasets.py reads them.
LATENTS = {"latents", "num_frames", "height", "width", "fps"}
AUDIO = {"latents", "num_time_steps", "frequency_bins", "duration"}
CONDITIONS = {"video_prompt_embeds", "audio_prompt_embeds", "prompt_attention_mask"}


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    root = tmp_path_factory.mktemp("ltx2")
    write_episode(root)
    return Workshop(root)


@pytest.fixture(scope="session")
def silent(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Return the same set without sound."""
    root = tmp_path_factory.mktemp("ltx2-silent")
    for name in ("clips", "reviewed"):
        shutil.copytree(workshop.root / name, root / name)
    other = Workshop(root, sound=False)
    other.made["model"] = workshop.model()
    return other


# The toy model


def test_the_toy_model_says_that_its_weights_are_random(workshop):
    model = read_json(workshop.model() / "model.json")
    assert (model["name"], model["weights"], model["architecture"]) == ("ltx2-tiny", "random", "LTX-2")


def test_the_same_seed_gives_the_same_model_and_another_seed_another(workshop, tmp_path):
    assert tree_files(make(tmp_path / "again", ltx2_tiny, TINY)) == tree_files(workshop.model())
    other = read_tensors(make(tmp_path / "other", ltx2_tiny, {**TINY, "seed": 2}) / "ltx-2-tiny-dev.safetensors")
    name = "model.diffusion_model.transformer_blocks.0.attn1.to_q.weight"
    assert not torch.equal(other[name], read_tensors(workshop.model() / "ltx-2-tiny-dev.safetensors")[name])


def test_the_toy_model_has_the_names_of_the_released_file(workshop):
    names = set(read_tensors(workshop.model() / "ltx-2-tiny-dev.safetensors"))
    assert {
        "model.diffusion_model.transformer_blocks.1.audio_to_video_attn.to_out.0.weight",
        "model.diffusion_model.video_embeddings_connector.learnable_registers",
        "text_embedding_projection.aggregate_embed.weight",
        "vae.encoder.conv_in.conv.weight",
        "vae.per_channel_statistics.mean-of-means",
        "audio_vae.per_channel_statistics.std-of-means",
        "vocoder.conv_pre.weight",
    } <= names


def test_only_the_parts_asked_for_are_loaded(workshop):
    pipe = load_ltx(workshop.model(), ["video_encoder"], "cpu", "float32")
    assert pipe.video_vae_encoder is not None and pipe.dit is None and pipe.text_encoder is None


def test_gemma_may_lie_in_a_directory_of_its_own(workshop, tmp_path):
    gemma = Path(shutil.copytree(workshop.model(), tmp_path / "gemma"))
    (gemma / "ltx-2-tiny-dev.safetensors").unlink()
    # As a released model has it beside its shards.
    index = "text_encoder/model.safetensors.index.json"
    change_json(gemma / "model.json", lambda value: value["parts"]["weights"]["files"].append(index))
    model = Path(shutil.copytree(workshop.model(), tmp_path / "model"))
    shutil.rmtree(model / "text_encoder")
    change_json(model / "model.json", lambda value: value["parts"].pop("weights"))
    parameters, inputs = {"trigger": "", **CPU}, {"captions": workshop.root / "reviewed", "model": model}
    with pytest.raises(StageError, match=r"has no text_encoder .* give Gemma's directory as text_encoder"):
        make(tmp_path / "without", ltx2_text, parameters, **inputs)
    text = make(tmp_path / "with", ltx2_text, parameters, **inputs, text_encoder=gemma)
    assert tree_files(text / "text") == tree_files(workshop.text()[EPISODE] / "text")


def test_a_model_that_lacks_its_file_is_refused_by_its_name(workshop, tmp_path):
    model = Path(shutil.copytree(workshop.model(), tmp_path / "model"))
    (model / "ltx-2-tiny-dev.safetensors").unlink()
    with pytest.raises(StageError, match=r"the model lacks ltx-2-tiny-dev\.safetensors, its dit"):
        load_ltx(model, ["dit"], "cpu", "float32")


def test_a_file_of_another_model_is_refused_by_its_name(workshop, tmp_path):
    write_tensors(tmp_path / "ltx-2-19b-dev.safetensors", {"unknown": torch.zeros(3)})
    with pytest.raises(StageError, match=r"ltx-2-19b-dev\.safetensors: diffsynth does not know its tensors as a dit"):
        load_ltx(tmp_path, ["dit"], "cpu", "float32")


def test_a_file_cut_short_is_refused_by_its_name(workshop, tmp_path):
    model = Path(shutil.copytree(workshop.model(), tmp_path / "model"))
    file = model / "ltx-2-tiny-dev.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StageError, match="the model's dit is cut short or damaged"):
        load_ltx(model, ["dit"], "cpu", "float32")


def test_plain_downloads_are_found_by_the_names_of_the_release(tmp_path):
    for file in ("ltx-2-19b-dev.safetensors", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        (tmp_path / file).touch()
    parts = describe_ltx(tmp_path)["parts"]
    assert parts["checkpoint"]["files"] == ["ltx-2-19b-dev.safetensors"]
    assert len(parts["weights"]["files"]) == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dit_head_dim": 7}, "dit_head_dim 7"),
        ({"text_dim": 18, "text_heads": 4}, "text_dim 18 over 4"),
        ({"vocoder_dim": 48}, "vocoder_dim 48"),
        ({"vae_dim": 6}, "vae_dim 6"),
    ],
)
def test_widths_that_cannot_be_built_are_refused(tmp_path, change, sentence):
    with pytest.raises(StageError, match=sentence):
        make(tmp_path / "model", ltx2_tiny, {**TINY, **change})


# Encoding


def test_there_are_latents_of_picture_and_sound_for_each_clip(workshop):
    assert [row["shape"] for row in read_json(workshop.latents()[EPISODE] / "latents.json")["latents"]] == [VIDEO] * 5
    assert [row["shape"] for row in read_json(workshop.sounds()[EPISODE] / "sound.json")["sound"]] == [SOUND] * 5


def test_the_stored_text_gives_the_pipelines_own_contexts(workshop):
    pipe = load_ltx(workshop.model(), ["text_encoder", "connectors"], "cpu", "float32")
    row = read_json(workshop.text()[EPISODE] / "text.json")["prompts"][0]
    features = read_tensors(workshop.text()[EPISODE] / row["file"])["features"]
    assert features.shape[0] == row["tokens"] < 40
    transformer = LtxTransformer(None, pipe.text_encoder_post_modules)
    ours = transformer.contexts(padded(features)[None], padding_mask(features.shape[0])[None])
    with torch.no_grad():
        theirs = LTX2AudioVideoUnit_PromptEmbedder().process(pipe, row["prompt"])
    assert torch.equal(ours[0], theirs["video_context"]) and torch.equal(ours[1], theirs["audio_context"])


def test_captions_said_twice_are_encoded_once(workshop):
    assert len(read_json(workshop.text()[EPISODE] / "text.json")["prompts"]) == 4


# The layout of LTX-2's own trainer


def test_the_precomputed_folders_follow_the_trainers_rules_field_by_field(workshop):
    root, rows = workshop.preprocess() / ".precomputed", read_json(workshop.package() / "metadata.json")
    folders = {folder.name: {p.relative_to(folder) for p in folder.rglob("*.pt")} for folder in root.iterdir()}
    assert set(folders) == {"latents", "conditions", "audio_latents"}
    # The same relative name as the video's in every folder; what one folder lacks, that trainer leaves out.
    assert set(map(frozenset, folders.values())) == {frozenset(Path(row["video"]).with_suffix(".pt") for row in rows)}
    for row in rows:
        name = Path(row["video"]).with_suffix(".pt")
        latents, text, sound = (
            torch.load(root / folder / name, weights_only=True) for folder in ("latents", "conditions", "audio_latents")
        )
        assert set(latents) == LATENTS
        assert list(latents["latents"].shape) == [128, latents["num_frames"], latents["height"], latents["width"]]
        assert (latents["num_frames"], latents["height"], latents["width"]) == (3, 3, 4)
        assert isinstance(latents["fps"], float) and latents["fps"] == row["fps"]
        assert set(text) == CONDITIONS
        assert text["prompt_attention_mask"].shape == (TEXT_LENGTH,) and text["prompt_attention_mask"][-1] == 1
        for key in ("video_prompt_embeds", "audio_prompt_embeds"):
            assert text[key].shape == (TEXT_LENGTH, TINY["text_dim"])
            # It pads in front, and what is padded is zero.
            assert not text[key][text["prompt_attention_mask"] == 0].any()
        assert set(sound) == AUDIO
        assert list(sound["latents"].shape) == [8, sound["num_time_steps"], sound["frequency_bins"]]
        assert sound["frequency_bins"] == 16 and abs(sound["duration"] - row["frames"] / row["fps"]) < 1e-4


def test_the_precomputed_text_is_that_of_its_own_clip(workshop):
    root = workshop.preprocess() / ".precomputed/conditions"
    for row in read_json(workshop.package() / "metadata.json"):
        stored = read_tensors(workshop.text()[EPISODE] / f"text/{prompt_hash(row['prompt'])}.safetensors")["features"]
        given = torch.load(root / Path(row["video"]).with_suffix(".pt"), weights_only=True)
        assert torch.equal(given["video_prompt_embeds"][given["prompt_attention_mask"].bool()], stored)


def test_the_precomputed_layout_is_the_same_bytes_again(workshop, tmp_path):
    again = make(tmp_path / "again", ltx2_preprocess, {}, package=workshop.package(), **workshop.encoded())
    assert tree_files(again) == tree_files(workshop.preprocess())


def test_a_set_without_sound_has_no_folder_of_it(silent):
    assert not (silent.preprocess() / ".precomputed/audio_latents").exists()
    assert read_json(silent.preprocess() / "preprocess.json")["folders"] == ["latents", "conditions"]


def spoiled(workshop: Workshop, tmp_path: Path, what: str, file: str, change: Any) -> dict[str, Any]:
    """Return what was encoded, with one JSON file of it changed."""
    copied = Path(shutil.copytree(workshop.encoded()[what][EPISODE], tmp_path / what))
    change_json(copied / file, change)
    return {**workshop.encoded(), what: {EPISODE: copied}}


@pytest.mark.parametrize("stage", [ltx2_plan, ltx2_preprocess])
@pytest.mark.parametrize(
    ("what", "file", "change", "sentence"),
    [
        (
            "latents",
            "latents.json",
            lambda value: value["latents"].pop(1),
            "clip ep/clip-1 of the package has no latents; build ltx2-video-latents",
        ),
        (
            "latents",
            "latents.json",
            lambda value: value["latents"][1].update(shape=[128, 4, 3, 4]),
            r"clip ep/clip-1: latents \[128, 4, 3, 4\] do not come from 17 frames of 128x96",
        ),
        ("sound", "sound.json", lambda value: value["sound"].pop(2), "clip ep/clip-2 has no sound, others"),
        (
            "sound",
            "sound.json",
            lambda value: value["sound"][2].update(shape=[8, 40, 16]),
            "clip ep/clip-2: 40 latents of sound do not come from 17 frames",
        ),
        (
            "text",
            "text.json",
            lambda value: value["prompts"].pop(0),
            "the prompt of clip ep/clip-0 has no features; build ltx2-text",
        ),
    ],
)
def test_what_was_not_encoded_is_named(workshop, tmp_path, stage, what, file, change, sentence):
    parameters = PLAN if stage is ltx2_plan else {}
    with pytest.raises(StageError, match=sentence):
        make(
            tmp_path / "out",
            stage,
            parameters,
            package=workshop.package(),
            **spoiled(workshop, tmp_path, what, file, change),
        )


def test_latents_of_a_clip_that_is_no_longer_in_the_set_are_refused(workshop, tmp_path):
    def add(value: dict[str, Any]) -> None:
        value["latents"].append({**value["latents"][0], "clip": "clip-9"})

    with pytest.raises(StageError, match="latents of clip ep/clip-9: the package has no such clip"):
        make(
            tmp_path / "out",
            ltx2_preprocess,
            {},
            package=workshop.package(),
            **spoiled(workshop, tmp_path, "latents", "latents.json", add),
        )


# Plan and training


def test_the_plan_is_written_as_for_wan(workshop):
    plan = read_json(workshop.plan() / "plan.json")
    assert (plan["clips"], plan["micro_steps"], plan["total_steps"]) == (CLIPS - 1, 4 * (CLIPS - 1), 8)
    assert plan["largest_clip_tokens"] == 3 * 3 * 4
    assert plan["parameters"]["uniform_probability"] == PLAN["uniform_probability"]
    steps = [step for number in range(3) for step in read_segment(workshop.plan(), number)]
    for micro_step in (micro_step for step in steps for micro_step in step.micro_steps):
        assert micro_step.timestep == 1000 - micro_step.timestep_index


def sample(model: LtxTransformer, given: bool, sound: bool, video: torch.Tensor | None = None) -> LtxSample:
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
    micro_step = MicroStep(EPISODE, "c", "p", 300, 700.0, 5, given)
    drawn, noise, features = draw(1, *VIDEO), draw(1, *VIDEO), draw(20, TINY["text_dim"])
    context, sound_context = model.contexts(padded(features)[None], padding_mask(20)[None])
    return LtxSample(
        micro_step=micro_step,
        video=drawn if video is None else video,
        noise=noise,
        level=level(micro_step),
        positions=video_positions(drawn, 24.0),
        sound=draw(1, *SOUND) if sound else None,
        sound_noise=draw(1, *SOUND) if sound else None,
        context=context,
        sound_context=sound_context if sound else None,
    )


def transformer(workshop: Workshop, sound: bool = True, recompute: str = "none") -> tuple[LtxTransformer, dict]:
    pipe = load_ltx(workshop.model(), ["dit", "connectors"], "cpu", "float32")
    lora = inject_ltx_lora(pipe.dit, 4, 1, sound)
    with torch.no_grad():
        for name, parameter in lora.items():
            if ".lora_B." in name:
                parameter.fill_(0.01)
    return LtxTransformer(pipe.dit, pipe.text_encoder_post_modules, recompute), lora


def test_without_a_first_frame_the_loss_is_diffsynths_own_before_its_weight(workshop):
    """FlowMatchSFTAudioVideoLoss: square error of both velocities at one noise level, times its own weight."""
    pipe = load_ltx(workshop.model(), list(PARTS), "cpu", "float32")
    model = LtxTransformer(pipe.dit, pipe.text_encoder_post_modules)
    one = sample(model, given=False, sound=True)
    ours = ltx_loss(model, one)
    sigma = 0.7
    shared = {"height": 96, "width": 128, "num_frames": 17, "seed": 0, "rand_device": "cpu", "frame_rate": 24.0}
    noise_unit = next(unit for unit in pipe.units if type(unit).__name__.endswith("NoiseInitializer"))
    positions = noise_unit.process(pipe, **shared)
    mixed = {
        "video_latents": (1 - sigma) * one.video + sigma * one.noise,
        "audio_latents": (1 - sigma) * one.sound + sigma * one.sound_noise,
    }
    with torch.no_grad():
        video, sound = pipe.model_fn(
            pipe.dit,
            **mixed,
            video_context=one.context,
            audio_context=one.sound_context,
            video_positions=positions["video_positions"],
            audio_positions=pipe.audio_patchifier.get_patch_grid_bounds(
                positions["audio_latent_shape"]._replace(frames=SOUND[1])
            ),
            video_patchifier=pipe.video_patchifier,
            audio_patchifier=pipe.audio_patchifier,
            timestep=torch.tensor([700.0]),
        )
    theirs = (video - (one.noise - one.video)).pow(2).mean() + (sound - (one.sound_noise - one.sound)).pow(2).mean()
    assert torch.allclose(ours, theirs, rtol=1e-6)


def test_a_given_first_frame_is_seen_clean_and_left_out_of_the_loss(workshop):
    model, _ = transformer(workshop)
    base = sample(model, given=True, sound=True)
    other = sample(model, given=True, sound=True)
    other.noise[:, :, 0] += 5.0
    with torch.no_grad():
        assert torch.equal(ltx_loss(model, base), ltx_loss(model, other))
        changed = base.video.clone()
        changed[:, :, 0] += 5.0
        seen = sample(model, given=True, sound=True, video=changed)
        assert not torch.equal(ltx_loss(model, base), ltx_loss(model, seen))


@pytest.mark.parametrize("sound", [True, False], ids=["with sound", "without"])
@pytest.mark.parametrize("given", [True, False], ids=["first frame", "text"])
def test_recomputing_gives_the_same_gradients_and_every_layer_has_one(workshop, sound, given):
    gradients = []
    for recompute in ("none", "full"):
        model, lora = transformer(workshop, sound, recompute)
        ltx_loss(model, sample(model, given, sound)).backward()
        gradients.append([parameter.grad for parameter in lora.values()])
    assert all(gradient is not None for gradient in gradients[0])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def whole(workshop: Workshop) -> Path:
    """Return the state after all steps in one segment."""
    return workshop.train("whole", workshop.plan("plan-whole", segments_per_epoch=1), 0)


def test_three_segments_end_in_the_same_bytes_as_one(workshop):
    last = workshop.segments()["02"] / "state.safetensors"
    assert last.read_bytes() == (whole(workshop) / "state.safetensors").read_bytes()
    parts = b"".join((path / "loss.jsonl").read_bytes() for path in workshop.segments().values())
    assert parts == (whole(workshop) / "loss.jsonl").read_bytes()


@pytest.mark.parametrize("recompute", ["full", "auto"])
def test_recomputing_activations_gives_the_same_bytes(workshop, recompute):
    recomputed = workshop.train(f"recomputed-{recompute}", workshop.plan(), 0, recompute=recompute)
    assert tree_files(recomputed)["state.safetensors"] == tree_files(workshop.segments()["00"])["state.safetensors"]


def test_several_processes_end_in_the_same_bytes_as_one(workshop):
    together = workshop.train("processes", workshop.plan(), 0, processes=2)
    assert tree_files(together)["state.safetensors"] == tree_files(workshop.segments()["00"])["state.safetensors"]


def test_a_killed_segment_leaves_nothing_and_ends_in_the_same_bytes_when_run_again(workshop, tmp_path):
    parameters, undisturbed = workshop.segment_parameters(0), whole(workshop)
    inputs = {"plan": workshop.made["plan-whole"], "model": workshop.model(), **workshop.encoded()}
    with start(ltx2_train, tmp_path, parameters, inputs) as run:
        # One of some seconds' first steps is done.
        assert run.stdout is not None and any("segment 0, step " in line for line in run.stdout)
        run.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    assert tree_files(make(tmp_path / "out", ltx2_train, parameters, **inputs)) == tree_files(undisturbed)


def test_training_lowers_the_loss_on_clips_it_never_saw(workshop):
    changes = {"dataset_repeat": 12, "segments_per_epoch": 1, "learning_rate": 2e-2, "first_frame_probability": 0.0}
    state = read_json(workshop.train("learning", workshop.plan("plan-learning", **changes), 0) / "state.json")
    assert state["held_out_loss_after"] < 0.95 * state["held_out_loss_before"]


def test_without_sound_only_the_videos_attention_learns(silent):
    state = read_tensors(silent.segments()["00"] / "state.safetensors")
    layers = {name.split(".")[2] for name in state if name.startswith("transformer_blocks.")}
    assert layers == {"attn1", "attn2"}


def test_a_missing_clip_is_named_when_it_is_needed(workshop):
    encoded = workshop.latents(), workshop.sounds(), workshop.text()
    model, _ = transformer(workshop)
    loader = LtxLoader(*encoded, {EPISODE: 24.0}, model.contexts, torch.device("cpu"), torch.float32)
    with pytest.raises(StageError, match=r"clip ep/gone: its latents \(latents/gone\.safetensors\) is missing"):
        loader.load(MicroStep(EPISODE, "gone", "p", 1, 999.0, 1, False))


def test_memory_that_runs_out_names_the_largest_clip_and_what_would_fit(workshop):
    steps = read_segment(workshop.plan(), 0)
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has")
    said = str(explain_out_of_memory(error, LTX2, "none", workshop.latents(), steps))
    assert "2.50 GiB more was needed" in said and "36 video tokens" in said and "set recompute to auto or full" in said


def test_recomputing_needs_less_memory():
    none, full = (LTX2.step_bytes(10_000, 4096, 48, 0, recompute) for recompute in ("none", "full"))
    assert full < none / 5


# Checkpoint and samples


def test_the_keys_are_those_of_ltx2s_own_trainer(workshop):
    """Its LoRA files carry ``diffusion_model.`` before the transformer's own names, as ComfyUI wants them."""
    wanted = {
        f"diffusion_model.transformer_blocks.{block}.{layer}.lora_{side}.weight"
        for block in range(TINY["dit_layers"])
        for layer in target_layers(True)
        for side in "AB"
    }
    assert set(read_tensors(workshop.checkpoint() / "lora.safetensors")) == wanted


def test_diffusers_finds_every_layer_and_merges_it_into_the_right_weight(workshop, tmp_path):
    """Its own reader of LTX-2's files, its own LoRA loader, its own names for the model's layers."""
    heads, video, audio = TINY["dit_heads"], TINY["dit_head_dim"], TINY["dit_audio_head_dim"]
    sizes = {"num_attention_heads": heads, "attention_head_dim": video, "cross_attention_dim": heads * video}
    sizes |= {"audio_num_attention_heads": heads, "audio_attention_head_dim": audio}
    sizes |= {"audio_cross_attention_dim": heads * audio, "caption_channels": TINY["text_dim"]}
    LTX2VideoTransformer3DModel(**sizes, num_layers=TINY["dit_layers"]).save_config(tmp_path)
    weights = next(workshop.model().glob("*.safetensors"))
    theirs = LTX2VideoTransformer3DModel.from_single_file(str(weights), config=str(tmp_path), torch_dtype=torch.float32)
    file = workshop.checkpoint() / "lora-fp32.safetensors"
    before = {name: value.clone() for name, value in theirs.state_dict().items()}
    LTX2Pipeline.load_lora_into_transformer(
        LTX2Pipeline.lora_state_dict(str(file.parent), weight_name=file.name), theirs, adapter_name="ours"
    )
    theirs.fuse_lora()
    theirs.unload_lora()
    lora = read_tensors(file)
    changed = {name: value for name, value in theirs.state_dict().items() if not torch.equal(value, before[name])}
    assert len(changed) == len(lora) // 2
    for name, value in changed.items():
        b, a = (lora[f"diffusion_model.{name.removesuffix('.weight')}.lora_{side}.weight"] for side in "BA")
        assert torch.allclose(value - before[name], b @ a, atol=1e-6)


def test_the_merged_lora_computes_what_was_trained(workshop):
    trained = load_ltx(workshop.model(), ["dit", "connectors"], "cpu", "float32")
    lora = inject_ltx_lora(trained.dit, PLAN["lora_rank"], PLAN["seed"], True)
    state = read_tensors(workshop.segments()["02"] / "state.safetensors")
    with torch.no_grad():
        for name, parameter in lora.items():
            parameter.copy_(state[name])
    merged = load_ltx(workshop.model(), ["dit", "connectors"], "cpu", "float32")
    merged.load_lora(merged.dit, str(workshop.checkpoint() / "lora-fp32.safetensors"))
    with torch.no_grad():
        models = [LtxTransformer(pipe.dit, pipe.text_encoder_post_modules) for pipe in (trained, merged)]
        losses = [ltx_loss(model, sample(model, False, True)) for model in models]
    assert torch.allclose(*losses, rtol=1e-5)


def test_the_file_says_where_it_comes_from(workshop):
    with safe_open(workshop.checkpoint() / "lora.safetensors", "pt") as file:
        header = file.metadata()
    assert header["modelspec.architecture"] == "LTX-2/lora"
    assert header["reelgraph.base_model"] == "ltx2-tiny"
    assert header["reelgraph.dataset_hash"] == read_json(workshop.package() / "dataset.json")["hash"]
    assert json.loads(header["reelgraph.recipe"])["uniform_probability"] == PLAN["uniform_probability"]


def test_the_checkpoint_refuses_segments_of_another_plan(workshop, tmp_path):
    other = workshop.plan("plan-other", learning_rate=2e-3)
    inputs = {"plan": other, "package": workshop.package(), "model": workshop.model()}
    with pytest.raises(StageError, match="segment 00 was not trained from this plan"):
        make(tmp_path / "out", checkpoint, CREDITS, segments=workshop.segments(), **inputs)


def test_samples_are_videos_with_sound_as_long_as_they_are(workshop):
    samples = read_json(workshop.samples() / "samples.json")["samples"]
    assert [entry["kind"] for entry in samples] == ["text-to-video", "image-to-video"]
    for entry in samples:
        for file in (entry["file"], entry["base_file"]):
            with av.open(str(workshop.samples() / file)) as container:
                assert sum(1 for _ in container.decode(video=0)) == 9
            with av.open(str(workshop.samples() / file)) as container:
                stream = container.streams.audio[0]
                heard = sum(frame.samples for frame in container.decode(stream)) / stream.rate
            assert stream.layout.name == "stereo" and abs(heard - 9 / 24) < 0.05
    assert samples[1]["first_frame"] == read_json(workshop.package() / "metadata.json")[0]["first_frame"]


def test_the_lora_changes_what_is_drawn(workshop):
    files = tree_files(workshop.samples())
    assert files["text-to-video-0.mp4"] != files["base-text-to-video-0.mp4"]


def test_samples_are_the_same_bytes_again(workshop, tmp_path):
    inputs = {"checkpoint": workshop.checkpoint(), "package": workshop.package(), "model": workshop.model()}
    parameters = read_json(workshop.samples() / "stage.json")["parameters"]
    assert tree_files(make(tmp_path / "again", ltx2_samples, parameters, **inputs)) == tree_files(workshop.samples())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"frames": 10}, "frames 10: LTX-2 draws 8n[+]1 frames"),
        ({"image_to_video": ["ep/gone"]}, "the package has no clip ep/gone; take one like ep/clip-0"),
    ],
)
def test_samples_that_cannot_be_drawn_are_refused(workshop, tmp_path, change, sentence):
    inputs = {"checkpoint": workshop.checkpoint(), "package": workshop.package(), "model": workshop.model()}
    parameters = {**read_json(workshop.samples() / "stage.json")["parameters"], **change}
    with pytest.raises(StageError, match=sentence):
        make(tmp_path / "out", ltx2_samples, parameters, **inputs)


@pytest.mark.parametrize(
    ("tokens", "recompute", "measured"), [(2352, "none", 71.6), (2352, "full", 41.7), (5376, "full", 43.9)]
)
def test_the_preflight_foresees_the_measured_memory(tokens, recompute, measured):
    """19.6 billion weights in bfloat16 and a LoRA of 214 million numbers with gradient and moments."""
    weights = int(36.5 * 2**30) + 16 * 213_909_504
    assert LTX2.step_bytes(tokens, 4096, 48, weights, recompute) / 2**30 == pytest.approx(measured, rel=0.05)
