"""What a CUDA graph records of a micro step, held without a GPU: nothing in it waits for one or comes from the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import torch
from diffsynth.models.ltx2_dit import LTXModel
from diffsynth.models.ltx2_text_encoder import Embeddings1DConnector
from diffsynth.models.wan_video_dit import WanModel
from diffsynth.pipelines.ltx2_audio_video import model_fn_ltx2
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from reelgraph.train.flow import Sample, planned_loss
from reelgraph.train.gradients import Gradients
from reelgraph.train.lora import inject_lora
from reelgraph.train.ltx_flow import LtxSample, ltx_loss
from reelgraph.train.ltx_flow import level as ltx_level
from reelgraph.train.ltx_trainer import inject_ltx_lora
from reelgraph.train.ltx_transformer import LtxTransformer, video_positions
from reelgraph.train.plan import MicroStep
from reelgraph.train.transformer import Transformer

aten = torch.ops.aten
# Each makes the processor wait for the GPU.
WAITING = {
    aten._local_scalar_dense,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten.unique_consecutive,
}
# Each copies from the processor's memory; on the device meta none is an operation.
COPYING = {torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor}


class Functions(TorchFunctionMode):
    """Raises at what makes a tensor of Python's numbers."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        """Look at a function before it is called."""
        assert function not in COPYING, f"{function}: copies from the processor"
        return function(*arguments, **(options or {}))


class Operations(TorchDispatchMode):
    """Raises at operations that wait for the GPU or take or make what is not on it; meta stands for the GPU."""

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        """Look at an operation before it is done."""
        assert operation.overloadpacket not in WAITING, f"{operation}: waits"
        for leaf in tree_leaves((arguments, options)):
            if isinstance(leaf, torch.device):
                assert leaf.type == "meta", f"{operation}: makes something on the processor"
            elif torch.is_tensor(leaf):
                # One of Python's numbers becomes such a tensor, and then part of a kernel's launch.
                number = leaf.device.type == "cpu" and leaf.dim() == 0
                assert leaf.is_meta or number, f"{operation}: takes something of the processor"
                assert leaf.dtype != torch.bool or "index" not in str(operation), f"{operation}: waits to count"
        return operation(*arguments, **(options or {}))


@contextmanager
def recording() -> Iterator[None]:
    """Raise an AssertionError at what a recording cannot contain."""
    asks = AssertionError("asks for the state of random numbers")
    with Functions(), Operations(), patch.object(torch, "get_rng_state", side_effect=asks):
        yield


def wan(device: str, recompute: str) -> tuple[torch.nn.Module, Callable[[Any], torch.Tensor]]:
    """Return a toy Wan transformer that carries a LoRA, and its loss."""
    sizes = {"dim": 24, "in_dim": 4, "ffn_dim": 64, "out_dim": 4, "text_dim": 16, "freq_dim": 16, "eps": 1e-6}
    torch.manual_seed(0)
    with torch.device(device):
        dit = WanModel(**sizes, patch_size=(1, 2, 2), num_heads=2, num_layers=2, has_image_input=False)
    inject_lora(dit, 4, 1)
    return dit, partial(planned_loss, Transformer(dit, recompute))


def wan_sample(device: str, number: int, given: bool) -> Sample:
    """Return a sample of Wan's; all but its size depends on its number."""
    draw, micro_step = draws(device, number), numbered(number, given)
    level = torch.tensor([micro_step.timestep, 0.1 * number, 1.0], device=device)
    counts = torch.tensor([[1.0, 1, 1, 1, 508 - number, 0, 0]], device=device)
    return Sample(micro_step, draw(1, 4, 3, 4, 4), draw(1, 7, 16), counts, draw(1, 4, 3, 4, 4), level)


def ltx(device: str, recompute: str, sound: bool = True) -> tuple[torch.nn.Module, Callable[[Any], torch.Tensor]]:
    """Return a toy LTX-2 transformer that carries a LoRA, and its loss."""
    sizes = {"num_attention_heads": 2, "attention_head_dim": 16, "cross_attention_dim": 32, "caption_channels": 32}
    sizes |= {"audio_num_attention_heads": 2, "audio_attention_head_dim": 8, "audio_cross_attention_dim": 16}
    torch.manual_seed(0)
    with torch.device(device):
        dit = LTXModel(**sizes, num_layers=2)
        for name, parameter in dit.named_parameters():
            if "scale_shift_table" in name:
                parameter.data.normal_(0, 0.02)
    inject_ltx_lora(dit, 4, 1, sound)
    return dit, partial(ltx_loss, LtxTransformer(dit, torch.nn.Module(), recompute))


def ltx_sample(device: str, number: int, given: bool) -> LtxSample:
    """Return a sample of LTX-2's; all but its size depends on its number."""
    draw, micro_step = draws(device, number), numbered(number, given)
    video = draw(1, 128, 3, 3, 4)
    return LtxSample(
        micro_step=micro_step,
        video=video,
        noise=draw(1, 128, 3, 3, 4),
        level=ltx_level(micro_step).to(device),
        positions=video_positions(video, 20.0 + number),
        context=draw(1, 8, 32),
        sound=draw(1, 8, 18, 16),
        sound_noise=draw(1, 8, 18, 16),
        sound_context=draw(1, 8, 32),
    )


def silent_sample(device: str, number: int, given: bool) -> LtxSample:
    """Return the same without sound."""
    return replace(ltx_sample(device, number, given), sound=None, sound_noise=None, sound_context=None)


def draws(device: str, seed: int) -> Callable[..., torch.Tensor]:
    """Return what draws tensors of a shape."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(shape, generator=generator).to(device)


def numbered(number: int, given: bool) -> MicroStep:
    """Return a micro step of a number."""
    return MicroStep(f"e{number}", f"c{number}", f"p{number}", 100 * number, 1000.0 - 100 * number, number, given)


ON_PROCESSOR = torch.ones(2)
CONNECTOR = Embeddings1DConnector(8, 2).to("meta")


def learning(dit: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Return a transformer's LoRA, drawn so that each part of it has a gradient."""
    lora = [parameter for parameter in dit.parameters() if parameter.requires_grad]
    generator = torch.Generator().manual_seed(1)
    for parameter in lora:
        parameter.data.normal_(0, 0.1, generator=generator)
    return lora


MODELS = [
    pytest.param(wan, wan_sample, ("none", "feed-forward", "full"), id="wan"),
    pytest.param(ltx, ltx_sample, ("none", "full"), id="ltx"),
    pytest.param(partial(ltx, sound=False), silent_sample, ("none", "full"), id="ltx without sound"),
]


@pytest.mark.parametrize("given", [True, False], ids=["first frame", "text"])
@pytest.mark.parametrize(("model", "sample", "modes"), MODELS)
def test_nothing_in_a_micro_step_waits_for_the_gpu_or_comes_from_the_processor(model, sample, modes, given):
    for recompute in modes:
        dit, loss = model("meta", recompute)
        lora = [parameter for parameter in dit.parameters() if parameter.requires_grad]
        gradients, share = Gradients(loss, lora, recorded=False), torch.ones((), device="meta")
        gradients.clear()
        # The first of a size is not recorded.
        gradients._compute(sample("meta", 1, given), share)
        second = sample("meta", 2, given)
        with recording():
            gradients._compute(second, share)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda x: torch.tensor([1.0, 2.0], device="meta") * x, "tensor.*copies"),
        (lambda x: torch.tensor(2.0, device="meta") * x, "tensor.*copies"),
        (lambda x: x.new_tensor([1.0, 2.0]), "new_tensor.*copies"),
        (lambda x: x.copy_(ON_PROCESSOR), "copy_.*takes"),
        (lambda x: ON_PROCESSOR.to("meta"), "_to_copy.*takes"),
        (lambda x: x * torch.ones(2), "ones.*makes"),
        (lambda x: x[x > 0], "index.*count"),
        (lambda x: x[:, x[0] > 0], "index.*count"),
        (lambda x: x.masked_select(x > 0), "masked_select.*waits"),
        (lambda x: (x > 0).nonzero(), "nonzero.*waits"),
        (lambda x: bool(x.sum() > 0), "scalar.*waits"),
        (lambda x: x.tolist(), "_to_copy.*makes"),
        (lambda x: checkpoint(torch.sin, x.requires_grad_(), use_reentrant=False), "random"),
        (lambda x: CONNECTOR(x.repeat(1, 64, 8), x.new_zeros(1, 1, 1, 128)), "index.*count"),
    ],
)
def test_what_would_spoil_a_recording_is_seen(spoil, said):
    with pytest.raises(AssertionError, match=said), recording():
        spoil(torch.ones((1, 2, 2), device="meta"))


@pytest.mark.parametrize("given", [True, False], ids=["first frame", "text"])
@pytest.mark.parametrize(("model", "sample", "modes"), MODELS)
def test_a_micro_step_is_of_its_tensors_and_its_first_frame_alone(model, sample, modes, given):
    """What a recording is given on its replay is another sample's tensors."""
    dit, loss = model("cpu", modes[-1])
    lora = learning(dit)
    gradients = Gradients(loss, lora, recorded=False)
    first, second = (sample("cpu", number, given) for number in (1, 2))
    results = []
    for one in (first, replace(first, **second.tensors()), second):
        gradients.clear()
        results.append([gradients.add(one, 2), *(parameter.grad.clone() for parameter in lora)])
    assert all(map(torch.equal, results[1], results[2]))
    assert not any(map(torch.equal, results[0], results[2]))


@pytest.mark.parametrize("again", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("given", [True, False], ids=["first frame", "text"])
@pytest.mark.parametrize("sample", [ltx_sample, silent_sample], ids=["with sound", "without"])
def test_ltx2s_bytes_are_those_of_diffsynths_own_forward_pass(monkeypatch, sample, given, again):
    dit, loss = ltx("cpu", "full" if again else "none", sample is ltx_sample)
    lora, one = learning(dit), sample("cpu", 3, given)

    def theirs(run: Any, **inputs: Any) -> Any:
        return model_fn_ltx2(dit, use_gradient_checkpointing=again, **inputs)

    results = []
    for function in (model_fn_ltx2, theirs):
        monkeypatch.setattr("reelgraph.train.ltx_transformer.model_fn_ltx2", function)
        value = loss(one)
        results.append([value, *torch.autograd.grad(value, lora)])
    assert all(map(torch.equal, *results))


def test_ltx2s_levels_round_as_pythons_numbers_do():
    clean, noise = torch.randn(2, 1, 128, 2, 2, 2, generator=torch.Generator().manual_seed(1))
    for index in range(1000):
        micro_step = MicroStep("e", "c", "p", index, 1000.0 - index, 1, False)
        sigma, (timestep, kept, added) = micro_step.timestep / 1000, ltx_level(micro_step)
        assert torch.equal(kept * clean + added * noise, (1 - sigma) * clean + sigma * noise)
        assert torch.equal(timestep, torch.full((), 1000 * sigma))


def test_gradients_are_those_that_backward_adds_and_are_added_by_few_kernels():
    """Layers that are joined get columns of one product as gradients; a parameter that nothing uses gets none."""
    draw = draws("cpu", 1)
    columns, wider = [draw(6, 4) for _ in range(3)], [draw(6, 8) for _ in range(2)]
    alone, unused, x = draw(5, 6), draw(3, 2), draw(1, 2, 3, 5)
    lora = [torch.nn.Parameter(value) for value in (*columns, *wider, alone, unused)]

    def loss(sample: Sample) -> torch.Tensor:
        joined, others = torch.cat(lora[:3], 1), torch.cat(lora[3:5], 1)
        return ((sample.noise @ lora[5]) @ joined).sin().sum() + ((sample.noise @ lora[5]) @ others).cos().sum()

    sample, gradients = Sample(numbered(1, False), x, x, x, x, x), Gradients(loss, lora, recorded=False)
    gradients.clear()
    for parameter in lora:
        parameter.grad += 1
    for _ in range(2):
        (loss(sample) / 3).backward()
    expected = [parameter.grad.clone() for parameter in lora]
    gradients.clear()
    for parameter in lora:
        parameter.grad += 1
    with patch.object(torch, "_foreach_add_", side_effect=torch._foreach_add_) as adding:
        for _ in range(2):
            gradients.add(sample, 3)
    assert all(map(torch.equal, [parameter.grad for parameter in lora], expected))
    # Torch takes one kernel for all only where strides are equal.
    (sums, added) = adding.call_args.args
    assert [tensor.stride() for tensor in sums] == [tensor.stride() for tensor in added] and len(added) == 6
    assert torch.equal(lora[6].grad, torch.ones(3, 2))


def test_a_size_that_fits_only_without_recordings_is_computed_without_them():
    dit, loss = wan("cpu", "none")
    lora, sample = learning(dit), wan_sample("cpu", 1, False)
    alone = Gradients(loss, lora, recorded=False)
    alone.clear()
    expected = [alone.add(sample, 2), *(parameter.grad.clone() for parameter in lora)]

    def short_of_memory(gradient: torch.Tensor) -> None:
        if any(gradients._recordings.values()):
            raise torch.OutOfMemoryError

    gradients = Gradients(loss, lora, recorded=True)
    # The first block's are made last: all others are there already when memory is short.
    lora[0].register_hook(short_of_memory)
    gradients._recordings["another size"] = object()
    gradients.clear()
    found = [gradients.add(sample, 2), *(parameter.grad.clone() for parameter in lora)]
    assert all(map(torch.equal, found, expected))
    assert set(gradients._recordings.values()) == {None}


def test_a_size_that_never_fits_says_so():
    def too_large(sample: Sample) -> torch.Tensor:
        raise torch.OutOfMemoryError("all of it")

    gradients = Gradients(too_large, learning(wan("cpu", "none")[0]), recorded=True)
    gradients.clear()
    gradients._recordings["another size"] = object()
    with pytest.raises(torch.OutOfMemoryError, match="all of it"):
        gradients.add(wan_sample("cpu", 1, False), 1)
