"""Runs a small Wan transformer as on CUDA, its kernels interpreted on the CPU, and prints how it compares as JSON."""

from __future__ import annotations

import json

import torch
from diffsynth.models.wan_video_dit import WanModel

from reelgraph.train.fused import fuse_blocks
from reelgraph.train.lora import LoraLinear, Parameters, inject_lora
from reelgraph.train.lora_kernels import plan_copies
from reelgraph.train.products import join
from reelgraph.train.transformer import Transformer

MODES = ("none", "feed-forward", "full")
SMALL = {
    "dim": 48,
    "in_dim": 48,
    "ffn_dim": 96,
    "out_dim": 48,
    "text_dim": 64,
    "freq_dim": 256,
    "eps": 1e-6,
    "patch_size": (1, 2, 2),
    "num_heads": 2,
    "num_layers": 2,
    "has_image_input": False,
    "seperated_timestep": True,
    "require_vae_embedding": False,
    "require_clip_embedding": False,
    "fuse_vae_embedding_in_latents": True,
}
CLIP = {"latents": (1, 48, 2, 4, 4), "context": (1, 6, 64)}
COUNTS = torch.tensor([[1.0, 1, 1, 1, 4, 0]])


def small_transformer(rank: int) -> tuple[WanModel, Parameters]:
    """Return a transformer in which every weight matters, and its LoRA."""
    torch.manual_seed(0)
    dit = WanModel(**SMALL).requires_grad_(False)
    lora = inject_lora(dit, rank, 1)
    with torch.no_grad():
        for name, parameter in dit.named_parameters():
            if "norm" in name or ".lora_B." in name:
                parameter += 0.1 * torch.randn_like(parameter)
    return dit, lora


def gradients(transformer: Transformer, lora: Parameters, given: bool) -> list[torch.Tensor]:
    """Return the prediction for one clip and the LoRA's gradients."""
    torch.manual_seed(1)
    latents, context = (torch.randn(shape) for shape in CLIP.values())
    for parameter in lora.values():
        parameter.grad = None
    prediction = transformer.predict(latents, context, COUNTS, torch.tensor([500.0]), given)
    ((prediction - torch.randn(CLIP["latents"])) ** 2).mean().backward()
    return [prediction.detach(), *(parameter.grad for parameter in lora.values())]


def compare(rank: int, given: bool, small: bool = False) -> dict[str, object]:
    """Return the largest relative difference of prediction and gradients, and what is equal to the bit."""
    dit, lora = small_transformer(rank)
    before = {name: value.clone() for name, value in dit.state_dict().items()}
    plain = gradients(Transformer(dit), lora, given)
    fused = fuse_blocks(dit, small)
    after = dit.state_dict()
    runs = {mode: gradients(Transformer(dit, mode, fused), lora, given) for mode in MODES}
    off = [float((one - other).norm() / other.norm()) for one, other in zip(runs["none"], plain, strict=True)]
    return {
        "difference": max(off),
        "gradients": len(off) - 1,
        "same weights": list(before) == list(after) and all(torch.equal(before[name], after[name]) for name in after),
        "same plain": all(map(torch.equal, gradients(Transformer(dit), lora, given), plain)),
        "same modes": [mode for mode in MODES if all(map(torch.equal, runs[mode], runs["none"]))],
    }


def lora_beside_eight_bits(times: float, larger: float = 1.0) -> float:
    """Return the relative error of a LoRA's product beside weights in eight bits, ``times`` as large as these.

    What the LoRA is multiplied with is about as large as all else, or so many times ``larger``.
    """
    torch.manual_seed(0)
    layer, x = LoraLinear(torch.nn.Linear(48, 32).requires_grad_(False), 16), torch.randn((100, 64))
    with torch.no_grad():
        layer.base.weight.normal_()
        layer.lora_B.weight.normal_(0, times)
        layer.lora_A.weight *= larger
        products = join(layer, small=True)
        plan_copies([products]).run()
        # The weights set the scale and are not counted.
        products.eight[0].numbers[:, :48] = 0
        operand = products.given(x[:, :48])
        expected = x[:, :48] @ layer.lora_A.weight.T @ layer.lora_B.weight.T + layer.base.bias
        return float((products.forward(operand) - expected).norm() / (expected - layer.base.bias).norm())


def lora_in_its_places(rank: int) -> bool:
    """Return whether three joined layers' LoRA, longer than a tile, is where products read it and nowhere else."""
    torch.manual_seed(0)
    layers = [LoraLinear(torch.nn.Linear(304, outer).requires_grad_(False), rank) for outer in (48, 320, 112)]
    for layer in layers:
        layer.base.weight.data.normal_()
        layer.lora_B.weight.data.normal_(0, 0.3)
    products = join(*layers, small=True)
    matrix, eight, inner, outer = products.matrix.clone(), products.eight, products.inner, products.outer
    plan_copies([products]).run()
    exact, again = [], []
    for layer, outputs, channels in products.places():
        a, b = layer.lora_A.weight.data, layer.lora_B.weight.data
        matrix[outer:][channels, :inner], matrix[outputs, inner:][:, channels] = a, b
        for part, rows, weight in ((eight[0], outputs, b), (eight[1], slice(None), a.T)):
            beside = part.numbers[rows, part.numbers.shape[1] - 3 * part.room :].unflatten(1, (3, part.room))
            coarse, fine, last = beside[:, :, channels].float().unbind(1)
            values = weight / part.lora_scale[:, rows].T
            # Interpreted, numbers below 2**-6 become zero; coarse numbers alone would be off by up to a sixteenth.
            exact.append(bool(((coarse + fine - values).abs() < values.abs() / 32 + 2**-6).all()))
            again.append(torch.equal(coarse, last))
            beside[:, :, channels] = 0
    empty = join(*layers, small=True).eight
    alone = [torch.equal(part.numbers.float(), other.numbers.float()) for part, other in zip(eight, empty, strict=True)]
    return torch.equal(products.matrix, matrix) and all(exact + again + alone)


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    blocks = [compare(4, True), compare(16, False), compare(16, True, small=True)]
    lora = {times: lora_beside_eight_bits(times) for times in (0.01, 0.1, 1.0)} | {
        "larger": lora_beside_eight_bits(1.0, larger=30.0)
    }
    places = [rank for rank in (5, 16, 24) if lora_in_its_places(rank)]
    print(json.dumps({"blocks": blocks, "lora": lora, "places": places}))
