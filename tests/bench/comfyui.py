"""What ComfyUI's own code makes of a LoRA: every layer found, and the model computing what the merged one computes?

    python tests/bench/comfyui.py --comfyui CHECKOUT --model result-model --lora result/lora-fp32.safetensors

CHECKOUT is a checkout of ComfyUI (GPL; none of it is here), --model a wan22-tiny, --lora a checkpoint of it. ComfyUI
recognises the model by its weights, loads the LoRA as its node "Load LoRA" does, and computes before and after, and so
does diffsynth. Then the names of full-size LoRAs for TI2V-5B and A14B are given to it, without weights.
Needs the test environment's Python, PYTHONPATH=python and what newer checkouts import besides. Status 1 if not so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.wan_video_dit import WanModel
from safetensors.torch import load_file
from train import T2V_A14B, TI2V_5B

from reelgraph.determinism import restart_in_fixed_environment
from reelgraph.files import read_json
from reelgraph.stages.checkpoint import COMFYUI_PREFIX
from reelgraph.train.lora import TARGET_LAYERS
from reelgraph.train.wan import load_pipeline

CPU = torch.device("cpu")
RANK = 16
I2V_A14B = {**T2V_A14B, "in_dim": 36}


def full_size_lora(sizes: dict[str, Any], weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a LoRA of a model's size under our names, shapes only."""
    lora = {}
    for block in range(sizes["num_layers"]):
        for layer in TARGET_LAYERS:
            name = f"blocks.{block}.{layer}"
            rows, columns = weights[f"{name}.weight"].shape
            lora[f"{COMFYUI_PREFIX}{name}.lora_A.weight"] = torch.empty((RANK, columns), device="meta")
            lora[f"{COMFYUI_PREFIX}{name}.lora_B.weight"] = torch.empty((rows, RANK), device="meta")
    return lora


def patched(weights: dict[str, torch.Tensor], lora: dict[str, torch.Tensor], **sizes: Any) -> Any:
    """Return ComfyUI's patcher of the model that it takes the weights for, with the LoRA; print what it found."""
    import comfy.model_detection
    import comfy.model_patcher
    import comfy.sd

    config = comfy.model_detection.model_config_from_unet(weights, "")
    # It takes 128 channels a head and 4,096 of text for granted; a toy has fewer.
    config.unet_config |= sizes
    config.set_inference_dtype(torch.float32, None)
    on_device = next(iter(weights.values())).device
    model = config.get_model(weights, "", device=on_device)
    if on_device == CPU:
        model.load_model_weights(dict(weights), "")
    patcher = comfy.model_patcher.ModelPatcher(model.eval(), load_device=CPU, offload_device=CPU)
    with_lora, _ = comfy.sd.load_lora_for_models(patcher, None, lora, 1.0, 1.0)
    print(f"{type(config).__name__}: {len(with_lora.patches)} of {len(lora) // 2} layers have a patch", flush=True)
    return with_lora


def compare(model: Path, lora: Path) -> bool:
    """Compare ComfyUI's and diffsynth's outputs of a toy, with the LoRA and without; return whether all is well."""
    settings = read_json(model / "model.json")["parts"]["dit"]["extra_kwargs"]
    weights, change = load_file(model / "diffusion_pytorch_model.safetensors"), load_file(lora)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn((1, settings["in_dim"], 5, 4, 4), generator=generator)
    context = torch.randn((1, 512, settings["text_dim"]), generator=generator)
    timestep = torch.tensor([500.0])
    pipe = load_pipeline(model, ["dit"], "cpu", "float32")
    patcher = patched(weights, change, num_heads=settings["num_heads"], text_dim=settings["text_dim"])

    @torch.no_grad()
    def outputs() -> tuple[torch.Tensor, torch.Tensor]:
        theirs = patcher.model.diffusion_model(latents, timestep, context, transformer_options={})
        return theirs, pipe.model_fn(dit=pipe.dit, latents=latents, context=context, timestep=timestep)

    before, base = outputs()
    patcher.patch_model(device_to=CPU)
    pipe.load_lora(pipe.dit, str(lora))
    after, merged = outputs()
    changed = float((after - before).abs().max())
    apart = max(float((before - base).abs().max()), float((after - merged).abs().max()))
    print(f"the LoRA changes the output by {changed:.3g}; diffsynth's is at most {apart:.1e} away, before and after")
    return len(patcher.patches) == len(change) // 2 and apart < 1e-4 < changed


def main() -> None:
    """Compare the toy, then look up the names of full-size models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True, help="checkout of ComfyUI")
    parser.add_argument("--model", type=Path, required=True, help="a wan22-tiny")
    parser.add_argument("--lora", type=Path, required=True, help="lora-fp32.safetensors of a checkpoint of it")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.comfyui))
    # ComfyUI reads its own options from here.
    sys.argv = ["main.py", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    good = compare(arguments.model, arguments.lora)
    for sizes in (TI2V_5B, T2V_A14B, I2V_A14B):
        with torch.device("meta"):
            weights = WanModel(**sizes).state_dict()
        lora = full_size_lora(sizes, weights)
        good = good and len(patched(weights, lora).patches) == len(lora) // 2
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    restart_in_fixed_environment()
    main()
