"""From a toy model to samples: the training stages on four small clips, each run once for all tests."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffsynth.diffusion.loss import FlowMatchSFTLoss
from diffsynth.pipelines.wan_video import (
    WanVideoUnit_ImageEmbedderVAE,
    WanVideoUnit_PromptEmbedder,
)
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from PIL import Image
from safetensors import safe_open
from wan_workshop import PLAN, SAMPLES, SIZE, TINY, Workshop, write_episode
from workshop import CPU, CREDITS, EPISODE, FRAMES, make, start

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stages import (
    checkpoint,
    samples,
    wan22_latents,
    wan22_plan,
    wan22_text,
    wan22_tiny,
    wan22_train,
)
from reelgraph.train import flow
from reelgraph.train.context import pad_context
from reelgraph.train.encode import encode_prompt, encode_video
from reelgraph.train.lora import inject_lora
from reelgraph.train.model import EXPERT_BOUNDARY, describe_model
from reelgraph.train.plan import MicroStep, read_segment
from reelgraph.train.tensors import read_tensors, write_tensors
from reelgraph.train.trainer import StepResult
from reelgraph.train.transformer import Transformer
from reelgraph.train.video import read_frames
from reelgraph.train.wan import load_pipeline


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    root = tmp_path_factory.mktemp("wan22")
    write_episode(root)
    return Workshop(root)


@pytest.fixture
def copy(workshop: Workshop, tmp_path: Path) -> Callable[[Path], Path]:
    """Return a function that copies a stage output, to be spoiled."""

    def copy_of(directory: Path) -> Path:
        return Path(shutil.copytree(directory, tmp_path / directory.name))

    return copy_of


def hashes(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# The toy model


def test_the_toy_model_says_that_its_weights_are_random(workshop):
    model = read_json(workshop.model() / "model.json")
    assert model["weights"] == "random"
    assert model["name"] == "wan22-tiny"


def test_the_same_seed_gives_the_same_model_and_another_seed_another(workshop, tmp_path):
    assert hashes(make(tmp_path / "again", wan22_tiny, TINY)) == hashes(workshop.model())
    other = hashes(make(tmp_path / "other", wan22_tiny, {**TINY, "seed": 2}))
    assert other["Wan2.2_VAE.safetensors"] != hashes(workshop.model())["Wan2.2_VAE.safetensors"]


def test_the_toy_model_has_the_released_models_tensors(workshop):
    """Names as in Wan2.2-TI2V-5B, for the blocks that it has."""
    names = set(read_tensors(workshop.model() / "diffusion_pytorch_model.safetensors"))
    assert {"patch_embedding.weight", "blocks.1.cross_attn.norm_k.weight", "head.modulation"} <= names
    assert "encoder.downsamples.0.downsamples.0.residual.2.weight" in read_tensors(
        workshop.model() / "Wan2.2_VAE.safetensors"
    )


def test_a_width_that_rotary_positions_cannot_split_is_refused(tmp_path):
    with pytest.raises(StageError, match="dit_dim 20 over 2 heads"):
        make(tmp_path / "model", wan22_tiny, {**TINY, "dit_dim": 20})


def test_text_heads_that_do_not_divide_the_width_are_refused(tmp_path):
    with pytest.raises(StageError, match="text_dim 16 over 3 heads"):
        make(tmp_path / "model", wan22_tiny, {**TINY, "text_heads": 3})


def test_a_model_that_lacks_a_file_is_refused_by_its_name(workshop, copy):
    model = copy(workshop.model())
    (model / "Wan2.2_VAE.safetensors").unlink()
    with pytest.raises(StageError, match=r"Wan2\.2_VAE\.safetensors"):
        load_pipeline(model, ["vae"], "cpu", "float32")


def test_a_model_file_cut_short_is_refused_by_its_name(workshop, copy):
    model = copy(workshop.model())
    file = model / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StageError, match=r"diffusion_pytorch_model\.safetensors: the model's dit is cut short"):
        load_pipeline(model, ["dit"], "cpu", "float32")


def test_a_plain_download_of_another_model_is_refused_by_its_file(workshop, copy):
    model = copy(workshop.model())
    (model / "model.json").unlink()
    write_tensors(model / "diffusion_pytorch_model.safetensors", {"unknown": torch.zeros(3)})
    with pytest.raises(StageError, match=r"diffusion_pytorch_model\.safetensors: diffsynth does not know its tensors"):
        load_pipeline(model, ["dit"], "cpu", "float32")


def test_a_model_in_several_files_is_loaded_whole(workshop, copy):
    model = copy(workshop.model())
    whole = read_tensors(workshop.model() / "diffusion_pytorch_model.safetensors")
    (model / "diffusion_pytorch_model.safetensors").unlink()
    shards = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for number, shard in enumerate(shards):
        write_tensors(model / shard, {name: whole[name] for name in sorted(whole)[number::2]})
    description = read_json(model / "model.json")
    description["parts"]["dit"]["files"] = shards
    write_json(model / "model.json", description)
    loaded = load_pipeline(model, ["dit"], "cpu", "float32").dit.state_dict()
    assert all(torch.equal(loaded[name], whole[name]) for name in whole)


def test_a_plain_download_is_found_by_the_names_of_the_release(tmp_path):
    shards = [f"diffusion_pytorch_model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    for file in (*shards, "models_t5_umt5-xxl-enc-bf16.pth", "Wan2.2_VAE.pth"):
        (tmp_path / file).touch()
    model = describe_model(tmp_path)
    assert model["parts"]["dit"]["files"] == shards
    assert model["parts"]["text_encoder"]["files"] == ["models_t5_umt5-xxl-enc-bf16.pth"]
    assert model["parts"]["vae"]["files"] == ["Wan2.2_VAE.pth"]


def test_an_empty_model_directory_says_which_files_belong_there(tmp_path):
    with pytest.raises(StageError, match=r"no vae: expected Wan2\.2_VAE\.safetensors or Wan2\.2_VAE\.pth"):
        load_pipeline(tmp_path, ["vae"], "cpu", "float32")


def test_a_missing_gpu_is_said(workshop, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StageError, match="device 'cuda': no CUDA device"):
        load_pipeline(workshop.model(), ["vae"], "cuda", "float32")


# Latents and text


def test_there_are_latents_of_each_clip_at_the_models_scale(workshop):
    rows = read_json(workshop.latents()[EPISODE] / "latents.json")["latents"]
    assert [row["shape"] for row in rows] == [[48, 5, 4, 4]] * 5
    tensors = read_tensors(workshop.latents()[EPISODE] / rows[0]["file"])
    assert list(tensors["latents"].shape) == [48, 5, 4, 4]


def test_the_first_latent_frame_is_the_first_picture_alone(workshop):
    """So image to video needs no second encoding: the clip's own first latent frame is the conditioning."""
    pipe = load_pipeline(workshop.model(), ["vae"], "cpu", "float32")
    frames = read_frames(workshop.root / "clips" / "clips" / "clip-0.mp4", FRAMES)
    whole = read_tensors(workshop.latents()[EPISODE] / "latents" / "clip-0.safetensors")["latents"]
    assert torch.equal(encode_video(pipe, frames[:1]), whole[:, :1])


def test_a_clip_that_is_cut_short_is_refused_by_its_name(workshop, copy, tmp_path):
    clips = copy(workshop.root / "clips")
    index = read_json(clips / "clips.json")
    index["clips"][1]["frames"] = 21
    write_json(clips / "clips.json", index)
    with pytest.raises(StageError, match=r"clip-1\.mp4"):
        make(tmp_path / "out", wan22_latents, CPU, clips=clips, model=workshop.model())


def test_latents_that_are_not_finite_are_refused_by_the_clip(workshop, copy, tmp_path):
    model = copy(workshop.model())
    file = model / "Wan2.2_VAE.safetensors"
    weights = {name: tensor * float("inf") for name, tensor in read_tensors(file).items()}
    file.unlink()
    write_tensors(file, weights)
    with pytest.raises(StageError, match="clip 'clip-0': its latents are not finite"):
        make(tmp_path / "out", wan22_latents, CPU, clips=workshop.root / "clips", model=model)


def test_each_distinct_prompt_is_encoded_once(workshop):
    rows = read_json(workshop.text()[EPISODE] / "text.json")["prompts"]
    assert len(rows) == 4
    assert all(row["file"] == f"text/{hashlib.sha256(row['prompt'].encode()).hexdigest()}.safetensors" for row in rows)


def test_a_stored_embedding_padded_with_zeros_is_the_pipelines_own(workshop):
    pipe = load_pipeline(workshop.model(), ["text_encoder"], "cpu", "float32")
    with torch.no_grad():
        full = WanVideoUnit_PromptEmbedder().process(pipe, prompt="A hill  turns.", positive=True)["context"]
    stored = encode_prompt(pipe, "A hill  turns.")
    assert torch.equal(torch.nn.functional.pad(stored, (0, 0, 0, full.shape[1] - stored.shape[0])), full[0])
    assert stored.shape[0] < 12


def test_an_empty_caption_is_refused_by_its_clip(workshop, copy, tmp_path):
    captions = copy(workshop.root / "reviewed")
    value = read_json(captions / "captions.json")
    value["captions"][2]["text"] = " "
    write_json(captions / "captions.json", value)
    with pytest.raises(StageError, match="caption for clip 'clip-2' is empty"):
        make(tmp_path / "out", wan22_text, {"trigger": "", **CPU}, captions=captions, model=workshop.model())


# The plan


def test_the_same_plan_is_the_same_bytes(workshop):
    assert hashes(workshop.plan()) == hashes(workshop.plan("plan-again"))


def test_the_plan_says_what_is_not_trained_on_and_why(workshop):
    plan = read_json(workshop.plan() / "plan.json")
    assert (plan["clips"], plan["micro_steps"], plan["total_steps"]) == (4, 16, 8)
    assert [row["reason"] for row in plan["dropped"]] == ["held out to measure the loss on shots not trained on"]
    assert [(row["first"], row["last"]) for row in plan["segments"]] == [(1, 2), (3, 5), (6, 8)]


def test_the_plan_says_what_it_would_take_on_a_gpu_that_was_measured(workshop):
    modes = {row["recompute"]: row for row in read_json(workshop.plan() / "plan.json")["estimate"]["modes"]}
    assert modes["none"]["seconds"] < modes["full"]["seconds"]
    assert modes["none"]["peak_gib"] > modes["feed-forward"]["peak_gib"] > modes["full"]["peak_gib"] > 5


def test_a_token_limit_below_every_clip_is_refused(workshop):
    with pytest.raises(StageError, match="no clip is left to train on"):
        workshop.plan("plan-limited", token_limit=5, held_out_shots=0)


def test_a_clip_without_latents_is_refused_by_its_name(workshop, copy, tmp_path):
    latents = copy(workshop.latents()[EPISODE])
    value = read_json(latents / "latents.json")
    del value["latents"][3]
    write_json(latents / "latents.json", value)
    inputs = {"package": workshop.package(), "latents": {EPISODE: latents}, "text": workshop.text()}
    with pytest.raises(StageError, match="clip ep/clip-3 of the package has no latents"):
        make(tmp_path / "out", wan22_plan, PLAN, **inputs)


def test_text_encoded_with_another_trigger_is_refused_by_the_clip(workshop, tmp_path):
    inputs = {"captions": workshop.root / "reviewed", "model": workshop.model()}
    text = make(tmp_path / "text", wan22_text, {"trigger": "hillstyle", **CPU}, **inputs)
    inputs = {"package": workshop.package(), "latents": workshop.latents(), "text": {EPISODE: text}}
    with pytest.raises(StageError, match="the prompt of clip ep/clip-0 has no embedding"):
        make(tmp_path / "out", wan22_plan, PLAN, **inputs)


# Training


def noise_and_text() -> tuple[torch.Tensor, torch.Tensor]:
    """Return latents [1, channels, frames, height, width] and a text's embedding, the same whatever ran before."""
    generator = torch.Generator().manual_seed(1)
    shapes = (1, 48, 5, 4, 4), (1, 512, TINY["text_dim"])
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def sample_of(
    clip: str, index: int, first_frame: bool, latents: torch.Tensor, context: torch.Tensor, noise: torch.Tensor
):
    micro_step = MicroStep(EPISODE, clip, "p", index, 0.0, 0, first_frame)
    padded, counts = pad_context(context[0], 512)
    return flow.Sample(micro_step, latents, padded[None], counts[None], noise, flow.level(micro_step, 5.0))


@pytest.mark.parametrize("words", [1, 63, 64, 200, 256, 511, 512])
def test_a_caption_and_its_padding_count_as_often_as_wan_pads(words):
    padded, counts = pad_context(torch.ones((words, 8)), 512)
    assert (
        len(padded) == len(counts) == min(length for length in (64, 128, 256, 512) if words < length or length == 512)
    )
    assert (counts[:words] == 1).all() and counts.sum() == 512
    assert (padded[:words] == 1).all() and (padded[words:] == 0).all()


@pytest.mark.parametrize("words", [5, 200, 512])
@pytest.mark.parametrize("first_frame", [False, True], ids=["text to video", "image to video"])
def test_the_planned_loss_is_diffsynths_own(workshop, first_frame, words):
    """Up to rounding: the same numbers through two rows of modulation and real rotations instead of complex ones."""
    pipe = load_pipeline(workshop.model(), ["dit"], "cpu", "float32")
    pipe.scheduler.set_timesteps(1000, training=True, shift=5.0)
    latents, context = noise_and_text()
    # As diffsynth pads a caption; ours computes what pads once.
    context[:, words:] = 0
    torch.manual_seed(5)
    index = int(torch.randint(0, 1000, (1,)))
    noise = torch.randn_like(latents)
    inputs: dict[str, Any] = {"input_latents": latents, "context": context}
    if first_frame:
        inputs |= {"first_frame_latents": latents[:, :, 0:1], "fuse_vae_embedding_in_latents": True}
    torch.manual_seed(5)
    stock = FlowMatchSFTLoss(pipe, **inputs)
    ours = flow.planned_loss(
        Transformer(pipe.dit), sample_of("c", index, first_frame, latents, context[:, :words], noise)
    )
    assert torch.allclose(ours, stock, rtol=1e-5)


def test_three_segments_end_in_the_same_bytes_as_one(workshop):
    whole = workshop.train("whole", workshop.plan("plan-whole", segments_per_epoch=1), 0)
    last = workshop.segments()["02"]
    assert (last / "state.safetensors").read_bytes() == (whole / "state.safetensors").read_bytes()
    parts = b"".join((path / "loss.jsonl").read_bytes() for path in workshop.segments().values())
    assert parts == (whole / "loss.jsonl").read_bytes()


@pytest.mark.parametrize("recompute", ["feed-forward", "full", "auto"])
def test_recomputing_activations_gives_the_same_bytes(workshop, recompute):
    plain = workshop.segments()["00"]
    recomputed = workshop.train(f"recomputed-{recompute}", workshop.plan(), 0, recompute=recompute)
    assert (recomputed / "state.safetensors").read_bytes() == (plain / "state.safetensors").read_bytes()


def test_a_killed_segment_leaves_nothing_and_ends_in_the_same_bytes_when_run_again(workshop, tmp_path):
    plan = workshop.plan("plan-long", dataset_repeat=50, segments_per_epoch=1, held_out_shots=0)
    parameters, inputs = (
        {"segment": 0, **CPU, "recompute": "none", "profile": "exact", "processes": 1},
        workshop.training_inputs(plan),
    )
    with start(wan22_train, tmp_path, parameters, inputs) as run:
        # One of some seconds' first steps is done.
        assert run.stdout is not None and any("segment 0, step " in line for line in run.stdout)
        run.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    again, undisturbed = (make(tmp_path / name, wan22_train, parameters, **inputs) for name in ("out", "undisturbed"))
    assert hashes(again) == hashes(undisturbed)


def test_the_lora_stays_float32_over_a_bfloat16_model(workshop):
    state = read_tensors(workshop.train("bfloat16", workshop.plan(), 0, dtype="bfloat16") / "state.safetensors")
    weights = {name: tensor for name, tensor in state.items() if name.startswith("blocks.")}
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    # Numbers that bfloat16 can hold would come from an update that was rounded away.
    assert any(
        not torch.equal(tensor, tensor.bfloat16().float()) for name, tensor in weights.items() if "lora_B" in name
    )


def test_training_lowers_the_loss_on_clips_it_never_saw(workshop):
    changes = {"dataset_repeat": 40, "segments_per_epoch": 1, "learning_rate": 1e-2, "first_frame_probability": 0.0}
    state = read_json(workshop.train("learning", workshop.plan("plan-learning", **changes), 0) / "state.json")
    assert state["held_out_loss_after"] < 0.8 * state["held_out_loss_before"]


def test_every_step_is_logged_with_loss_rate_norm_and_clips(workshop):
    rows = [json.loads(line) for line in (workshop.segments()["00"] / "loss.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert [row["learning_rate"] for row in rows] == [5e-4, 1e-3]
    assert all(len(row["clips"]) == 2 and row["loss"] > 0 and row["gradient_norm"] > 0 for row in rows)


def test_a_loss_that_is_no_number_names_step_and_clip(workshop, copy, tmp_path):
    latents = copy(workshop.latents()[EPISODE])
    first = json.loads((workshop.plan() / "segments" / "00.jsonl").read_text().splitlines()[0])["micro_steps"][1][
        "clip"
    ]
    write_tensors(latents / "latents" / f"{first}.safetensors", {"latents": torch.full((48, 5, 4, 4), float("nan"))})
    inputs = {**workshop.training_inputs(workshop.plan()), "latents": {EPISODE: latents}}
    with pytest.raises(StageError, match=f"step 1: the loss of clip ep/{first} is nan"):
        make(
            tmp_path / "out",
            wan22_train,
            {"segment": 0, **CPU, "recompute": "none", "profile": "exact", "processes": 1},
            **inputs,
        )


def test_a_gradient_that_is_not_finite_names_step_and_clips(workshop):
    """A loss can be finite where its gradient overflows."""
    step = read_segment(workshop.plan(), 0)[0]
    result = StepResult(step, torch.ones(len(step.micro_steps)), torch.tensor(float("inf")))
    with pytest.raises(StageError, match=r"step 1: the gradient over clips ep/clip-\d, ep/clip-\d is not finite"):
        result.check()


def test_several_processes_end_in_the_same_bytes_as_one(workshop):
    """Steps of three clips leave one of two processes idle in every second round."""
    plan = workshop.plan("plan-threes", gradient_accumulation=3, segments_per_epoch=1)
    alone, together = (workshop.train(f"processes-{n}", plan, 0, processes=n) for n in (1, 2))
    for file in ("state.safetensors", "loss.jsonl"):
        assert (together / file).read_bytes() == (alone / file).read_bytes()


def test_what_stops_one_of_several_processes_is_said_by_its_sentence(workshop, copy, tmp_path):
    latents = copy(workshop.latents()[EPISODE])
    for file in (latents / "latents").iterdir():
        file.unlink()
    inputs = {**workshop.training_inputs(workshop.plan()), "latents": {EPISODE: latents}}
    parameters = {"segment": 0, **CPU, "recompute": "none", "profile": "exact", "processes": 2}
    with pytest.raises(StageError, match=r"clip ep/clip-\d: its latents .* is missing"):
        make(tmp_path / "out", wan22_train, parameters, **inputs)


def test_the_checkpoint_says_that_a_fast_run_need_not_repeat(workshop, tmp_path):
    plan = workshop.plan("plan-fast", segments_per_epoch=1)
    fast = workshop.train("fast", plan, 0, profile="fast")
    out = make_checkpoint(workshop, tmp_path / "out", segments={"00": fast}, plan=plan)
    assert read_json(out / "checkpoint.json")["metadata"]["reelgraph.profile"] == "fast"
    exact = read_json(workshop.checkpoint() / "checkpoint.json")["metadata"]
    assert exact["reelgraph.profile"] == "exact"


def test_latents_that_are_missing_are_named(workshop, copy, tmp_path):
    latents = copy(workshop.latents()[EPISODE])
    for file in (latents / "latents").iterdir():
        file.unlink()
    inputs = {**workshop.training_inputs(workshop.plan()), "latents": {EPISODE: latents}}
    with pytest.raises(StageError, match=r"clip ep/clip-\d: its latents .* is missing"):
        make(
            tmp_path / "out",
            wan22_train,
            {"segment": 0, **CPU, "recompute": "none", "profile": "exact", "processes": 1},
            **inputs,
        )


def test_a_segment_that_is_not_planned_is_refused(workshop):
    with pytest.raises(StageError, match="the plan has no segment 7"):
        workshop.train("segment-7", workshop.plan(), 7, workshop.segments()["02"])


def test_a_segment_wants_the_one_before_it(workshop):
    with pytest.raises(StageError, match="segment 1 goes on from segment 0"):
        workshop.train("alone", workshop.plan(), 1)
    with pytest.raises(StageError, match="segment 2 starts at step 6, but input 'previous' ended at step 2"):
        workshop.train("skipped", workshop.plan(), 2, workshop.segments()["00"])
    with pytest.raises(StageError, match="segment 0 starts from nothing"):
        workshop.train("restarted", workshop.plan(), 0, workshop.segments()["00"])


def test_a_segment_of_another_recipe_is_refused(workshop):
    other = workshop.plan("plan-other-rank", lora_rank=8)
    with pytest.raises(StageError, match=r"trained by another recipe\.json"):
        workshop.train("other-rank", other, 1, workshop.segments()["00"])


# The checkpoint


def make_checkpoint(workshop: Workshop, out: Path, **changes: Any) -> Path:
    inputs = {"segments": workshop.segments(), "plan": workshop.plan(), "package": workshop.package()}
    return make(out, checkpoint, CREDITS, **{**inputs, "model": workshop.model(), **changes})


def test_the_checkpoint_is_the_last_segments_lora_under_comfyuis_names(workshop):
    state = read_tensors(workshop.segments()["02"] / "state.safetensors")
    weights = {f"diffusion_model.{name}": tensor for name, tensor in state.items() if name.startswith("blocks.")}
    exact = read_tensors(workshop.checkpoint() / "lora-fp32.safetensors")
    rounded = read_tensors(workshop.checkpoint() / "lora.safetensors")
    assert exact.keys() == rounded.keys() == weights.keys()
    assert all(torch.equal(exact[name], weights[name]) for name in weights)
    assert all(torch.equal(rounded[name], weights[name].bfloat16()) for name in weights)


def test_every_key_of_the_checkpoint_names_a_layer_of_the_model(workshop):
    """ComfyUI takes diffusion_model.<layer>.lora_{A,B}.weight for the layer <layer>.weight of the model's own file."""
    layers = read_tensors(workshop.model() / "diffusion_pytorch_model.safetensors")
    lora = read_tensors(workshop.checkpoint() / "lora.safetensors")
    targets = {name.removeprefix("diffusion_model.").rsplit(".lora_", 1)[0] for name in lora}
    for target in targets:
        a, b = (lora[f"diffusion_model.{target}.lora_{side}.weight"] for side in "AB")
        assert (b @ a).shape == layers[f"{target}.weight"].shape
    assert len(targets) == TINY["dit_layers"] * (2 * 4 + 2)


def test_diffsynths_loader_merges_every_layer_and_the_output_changes(workshop, capsys):
    # Trained outside no_grad, if this is the first test to ask for it.
    file = workshop.checkpoint() / "lora.safetensors"
    pipe = load_pipeline(workshop.model(), ["dit"], "cpu", "float32")
    latents, context = noise_and_text()
    timestep = torch.tensor([500.0])
    with torch.no_grad():
        before = pipe.model_fn(dit=pipe.dit, latents=latents, context=context, timestep=timestep)
        pipe.load_lora(pipe.dit, str(file))
        after = pipe.model_fn(dit=pipe.dit, latents=latents, context=context, timestep=timestep)
    assert f"{TINY['dit_layers'] * 10} tensors are fused by LoRA" in capsys.readouterr().out
    assert (after - before).abs().max() > 1e-4


def test_peft_loads_every_key_and_computes_what_the_merged_model_computes(workshop):
    """peft's own loader takes the names below ``diffusion_model.``, finds a place for each and misses none."""
    merged, adapted = (load_pipeline(workshop.model(), ["dit"], "cpu", "float32") for _ in range(2))
    file = workshop.checkpoint() / "lora-fp32.safetensors"
    merged.load_lora(merged.dit, str(file))
    layers = ["q", "k", "v", "o", "ffn.0", "ffn.2"]
    inject_adapter_in_model(
        LoraConfig(r=PLAN["lora_rank"], lora_alpha=PLAN["lora_rank"], target_modules=layers), adapted.dit
    )
    weights = {name.removeprefix("diffusion_model."): tensor for name, tensor in read_tensors(file).items()}
    result = set_peft_model_state_dict(adapted.dit, weights)
    assert not result.unexpected_keys
    assert not [name for name in result.missing_keys if "lora_" in name]
    inputs = dict(zip(("latents", "context"), noise_and_text(), strict=True))
    with torch.no_grad():
        outputs = [pipe.model_fn(dit=pipe.dit, timestep=torch.tensor([500.0]), **inputs) for pipe in (adapted, merged)]
    assert torch.allclose(*outputs, atol=1e-4)


def test_diffusers_loads_every_layer_and_computes_what_the_merged_model_computes(workshop, tmp_path):
    """Its own reader of Wan's files, its own pipeline's LoRA loader; other code for the model than diffsynth's."""
    file = workshop.checkpoint() / "lora-fp32.safetensors"
    merged = load_pipeline(workshop.model(), ["dit"], "cpu", "float32")
    sizes = {"num_attention_heads": TINY["dit_heads"], "attention_head_dim": TINY["dit_dim"] // TINY["dit_heads"]}
    sizes |= {"in_channels": 48, "out_channels": 48, "text_dim": TINY["text_dim"]}
    sizes |= {"ffn_dim": TINY["dit_ffn_dim"], "num_layers": TINY["dit_layers"]}
    WanTransformer3DModel(**sizes).save_config(tmp_path)
    weights = str(workshop.model() / "diffusion_pytorch_model.safetensors")
    transformer = WanTransformer3DModel.from_single_file(weights, config=str(tmp_path), torch_dtype=torch.float32)
    scheduler = FlowMatchEulerDiscreteScheduler()
    theirs = WanPipeline(None, None, vae=None, transformer=transformer, scheduler=scheduler)
    latents, context = noise_and_text()
    timestep = torch.tensor([500.0])

    @torch.no_grad()
    def outputs() -> list[torch.Tensor]:
        ours = merged.model_fn(dit=merged.dit, latents=latents, context=context, timestep=timestep)
        return [transformer(latents, timestep, context, return_dict=False)[0], ours]

    before = outputs()
    assert torch.allclose(*before, atol=1e-4)
    theirs.load_lora_weights(str(file.parent), weight_name=file.name)
    merged.load_lora(merged.dit, str(file))
    after = outputs()
    assert sum(".lora_A." in name for name, _ in transformer.named_parameters()) == 10 * TINY["dit_layers"]
    assert torch.allclose(*after, atol=1e-4)
    assert (after[0] - before[0]).abs().max() > 1e-2
    theirs.fuse_lora()
    assert torch.allclose(*outputs(), atol=1e-4)


def test_the_merged_lora_computes_what_was_trained(workshop):
    trained = load_pipeline(workshop.model(), ["dit"], "cpu", "float32")
    lora = inject_lora(trained.dit, PLAN["lora_rank"], PLAN["seed"])
    state = read_tensors(workshop.segments()["02"] / "state.safetensors")
    with torch.no_grad():
        for name, parameter in lora.items():
            parameter.copy_(state[name])
    merged = load_pipeline(workshop.model(), ["dit"], "cpu", "float32")
    merged.load_lora(merged.dit, str(workshop.checkpoint() / "lora-fp32.safetensors"))
    inputs = dict(zip(("latents", "context"), noise_and_text(), strict=True))
    with torch.no_grad():
        outputs = [pipe.model_fn(dit=pipe.dit, timestep=torch.tensor([500.0]), **inputs) for pipe in (trained, merged)]
    assert torch.allclose(*outputs, atol=1e-4)


def test_the_file_says_where_it_comes_from(workshop):
    with safe_open(workshop.checkpoint() / "lora.safetensors", "pt") as file:
        header = file.metadata()
    assert header == read_json(workshop.checkpoint() / "checkpoint.json")["metadata"]
    assert header["reelgraph.dataset_hash"] == read_json(workshop.package() / "dataset.json")["hash"]
    assert (header["reelgraph.rank"], header["reelgraph.alpha"], header["reelgraph.steps"]) == ("4", "4", "8")
    assert header["modelspec.license"] == "CC BY 3.0"
    assert header["reelgraph.base_model_weights"] == "random"
    assert json.loads(header["reelgraph.recipe"]) == PLAN


def test_the_checkpoint_is_the_same_bytes_again(workshop, tmp_path):
    assert hashes(make_checkpoint(workshop, tmp_path / "again")) == hashes(workshop.checkpoint())


def test_the_checkpoint_has_the_loss_of_every_step(workshop):
    rows = [json.loads(line) for line in (workshop.checkpoint() / "loss.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 9))


def spoil_last_state(
    workshop: Workshop, copy: Callable[[Path], Path], change: Callable[[str, torch.Tensor], torch.Tensor]
):
    last = copy(workshop.segments()["02"])
    state = read_tensors(last / "state.safetensors")
    # What was read still lies in the file itself.
    (last / "state.safetensors").unlink()
    write_tensors(last / "state.safetensors", {name: change(name, tensor) for name, tensor in state.items()})
    return {**workshop.segments(), "02": last}


def test_a_lora_that_changes_nothing_is_not_shipped(workshop, copy, tmp_path):
    segments = spoil_last_state(workshop, copy, lambda name, tensor: tensor * 0 if ".lora_B." in name else tensor)
    with pytest.raises(StageError, match="every lora_B is zero"):
        make_checkpoint(workshop, tmp_path / "out", segments=segments)


def test_a_lora_with_broken_numbers_is_not_shipped(workshop, copy, tmp_path):
    broken = "blocks.1.ffn.0.lora_A.weight"
    segments = spoil_last_state(workshop, copy, lambda name, tensor: tensor / 0 if name == broken else tensor)
    with pytest.raises(StageError, match=f"{broken} holds numbers that are not finite"):
        make_checkpoint(workshop, tmp_path / "out", segments=segments)


def test_a_missing_segment_is_named(workshop, tmp_path):
    segments = {number: path for number, path in workshop.segments().items() if number != "01"}
    with pytest.raises(StageError, match="segments 00, 02 were given, the plan has 00, 01, 02"):
        make_checkpoint(workshop, tmp_path / "out", segments=segments)


def test_segments_of_another_plan_are_refused(workshop, tmp_path):
    with pytest.raises(StageError, match="segment 00 was not trained from this plan"):
        make_checkpoint(workshop, tmp_path / "out", plan=workshop.plan("plan-other-seed", seed=4))


def test_a_package_that_was_not_planned_is_refused(workshop, copy, tmp_path):
    package = copy(workshop.package())
    write_json(package / "dataset.json", {**read_json(package / "dataset.json"), "hash": "sha256:" + "0" * 64})
    with pytest.raises(StageError, match="the plan was made for dataset"):
        make_checkpoint(workshop, tmp_path / "out", package=package)


# Samples


def make_samples(workshop: Workshop, out: Path, **changes: Any) -> Path:
    inputs = {"checkpoint": workshop.checkpoint(), "package": workshop.package(), "model": workshop.model()}
    return make(out, samples, {**SAMPLES, **changes}, **inputs)


def test_samples_are_a_picture_and_two_videos_of_the_size_asked_for(workshop, tmp_path):
    out = make_samples(workshop, tmp_path / "out")
    rows = read_json(out / "samples.json")["samples"]
    assert [row["file"] for row in rows] == ["text-to-image-0.png", "text-to-video-0.mp4", "image-to-video-0.mp4"]
    assert Image.open(out / rows[0]["file"]).size == (64, 64)
    assert {frame.size for row in rows[1:] for frame in read_frames(out / row["file"], 5)} == {(64, 64)}
    assert (rows[2]["clip"], rows[2]["prompt"]) == ("ep/clip-0", "A hill  turns,\n scene 0.")


def test_each_sample_lies_beside_the_base_models(workshop, tmp_path):
    out = make_samples(workshop, tmp_path / "out")
    for row in read_json(out / "samples.json")["samples"]:
        assert row["base_file"] == f"base-{row['file']}"
        assert (out / row["base_file"]).read_bytes() != (out / row["file"]).read_bytes()


def test_samples_are_the_same_bytes_again(workshop, tmp_path):
    assert hashes(make_samples(workshop, tmp_path / "1")) == hashes(make_samples(workshop, tmp_path / "2"))


def test_a_clip_that_the_package_does_not_have_is_named(workshop, tmp_path):
    with pytest.raises(StageError, match="image_to_video: the package has no clip ep/clip-9"):
        make_samples(workshop, tmp_path / "out", image_to_video=["ep/clip-9"])


# The models with two experts


@pytest.fixture(scope="session", params=["Wan2.2-T2V-A14B", "Wan2.2-I2V-A14B"])
def two_experts(request, workshop, tmp_path_factory) -> dict[str, Any]:
    """Return a toy model with two experts, its latents, and a checkpoint of each expert, trained for a few steps."""
    root = tmp_path_factory.mktemp("experts")
    model = make(root / "model", wan22_tiny, {**TINY, "architecture": request.param})
    latents = {EPISODE: make(root / "latents", wan22_latents, CPU, clips=workshop.root / "clips", model=model)}
    inputs = {"captions": workshop.root / "reviewed", "model": model}
    encoded = {"latents": latents, "text": {EPISODE: make(root / "text", wan22_text, {"trigger": "", **CPU}, **inputs)}}
    boundary = EXPERT_BOUNDARY[request.param]
    result: dict[str, Any] = {"model": model, "architecture": request.param, "latents": latents[EPISODE]}
    for expert, (low, high) in {"high_noise": (0.0, boundary), "low_noise": (boundary, 1.0)}.items():
        changes = {"expert": expert, "timestep_minimum": low, "timestep_maximum": high, "segments_per_epoch": 1}
        parameters = {**PLAN, **changes, "first_frame_probability": 0.0}
        plan = make(root / f"plan-{expert}", wan22_plan, parameters, package=workshop.package(), **encoded)
        training = {"segment": 0, **CPU, "recompute": "none", "profile": "exact", "processes": 1}
        segment = make(root / f"segment-{expert}", wan22_train, training, plan=plan, model=model, **encoded)
        made_from = {"segments": {"00": segment}, "plan": plan, "package": workshop.package(), "model": model}
        result[expert] = make(root / f"checkpoint-{expert}", checkpoint, CREDITS, **made_from)
        result[f"plan-{expert}"] = read_json(plan / "plan.json")
    return result


def test_each_expert_is_trained_on_the_noise_that_it_serves(two_experts):
    """t = 875 for text to video and 900 for image to video, as the released pipelines switch."""
    high, low = (two_experts[f"plan-{expert}"]["timesteps"] for expert in ("high_noise", "low_noise"))
    switch = {"Wan2.2-T2V-A14B": 875, "Wan2.2-I2V-A14B": 900}[two_experts["architecture"]]
    assert (high["first_index"], low["last_index"]) == (0, 999)
    assert high["last_index"] + 1 == low["first_index"]
    assert high["lowest"] > switch - 0.5 >= low["highest"] - 1


def test_each_experts_checkpoint_says_whose_it_is(two_experts):
    for expert in ("high_noise", "low_noise"):
        metadata = read_json(two_experts[expert] / "checkpoint.json")["metadata"]
        assert metadata["reelgraph.expert"] == expert
        assert metadata["modelspec.architecture"] == f"{two_experts['architecture']}/lora"
    one, other = (read_tensors(two_experts[expert] / "lora.safetensors") for expert in ("high_noise", "low_noise"))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_image_to_video_is_given_what_the_pipeline_gives_it(two_experts, workshop):
    tensors = read_tensors(two_experts["latents"] / "latents" / "clip-0.safetensors")
    assert tensors["latents"].shape == (16, 5, 8, 8)
    if two_experts["architecture"] == "Wan2.2-T2V-A14B":
        assert set(tensors) == {"latents"}
        return
    pipe = load_pipeline(two_experts["model"], ["dit_high_noise", "vae"], "cpu", "float32")
    size = {"num_frames": FRAMES, "height": SIZE[1], "width": SIZE[0]}
    tiles = {"tiled": False, "tile_size": None, "tile_stride": None}
    frames = read_frames(workshop.root / "clips" / "clips" / "clip-0.mp4", FRAMES)
    with torch.no_grad():
        stock = WanVideoUnit_ImageEmbedderVAE().process(pipe, input_image=frames[0], end_image=None, **size, **tiles)[
            "y"
        ]
    assert torch.equal(tensors["condition"], stock[0])


def test_samples_are_drawn_with_both_experts(two_experts, workshop, tmp_path):
    inputs = {"package": workshop.package(), "model": two_experts["model"]}
    both = {"checkpoint": two_experts["high_noise"], "low_noise_checkpoint": two_experts["low_noise"]}
    kinds = {"text_to_image": [], "text_to_video": ["A hill moves."], "image_to_video": []}
    if two_experts["architecture"] == "Wan2.2-I2V-A14B":
        kinds = {"text_to_image": [], "text_to_video": [], "image_to_video": [""]}
    one = make(tmp_path / "one", samples, {**SAMPLES, **kinds, "steps": 4}, **inputs, checkpoint=both["checkpoint"])
    two = make(tmp_path / "two", samples, {**SAMPLES, **kinds, "steps": 4}, **inputs, **both)
    file = read_json(two / "samples.json")["samples"][0]["file"]
    assert (one / file).read_bytes() != (two / file).read_bytes()
    assert (one / f"base-{file}").read_bytes() == (two / f"base-{file}").read_bytes()


def test_a_plain_download_with_two_experts_is_told_apart_by_its_input(tmp_path):
    for folder in ("high_noise_model", "low_noise_model"):
        (tmp_path / folder).mkdir()
        weight = {"patch_embedding.weight": torch.zeros(8, 36, 1, 2, 2)}
        write_tensors(tmp_path / folder / "diffusion_pytorch_model-00001-of-00006.safetensors", weight)
    model = describe_model(tmp_path)
    assert model["architecture"] == "Wan2.2-I2V-A14B"
    assert model["parts"]["dit_low_noise"]["files"] == [
        "low_noise_model/diffusion_pytorch_model-00001-of-00006.safetensors"
    ]


def test_an_expert_that_the_model_does_not_have_is_refused(workshop):
    plan = workshop.plan("plan-expert", expert="high_noise", first_frame_probability=0.0)
    with pytest.raises(StageError, match="the model has no dit_high_noise: expected high_noise_model/"):
        workshop.train("no-expert", plan, 0)


def test_first_frames_are_not_planned_for_models_that_are_not_given_them_so(workshop):
    with pytest.raises(StageError, match=r"first_frame_probability is 0\.5"):
        workshop.plan("plan-first-frame", expert="high_noise")
