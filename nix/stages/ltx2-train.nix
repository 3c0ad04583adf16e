# One segment of the training: the state of the one before in, its own state out.
{
  name = "ltx2-train";
  kind = "ltx2-segment";
  environment = "ltx2";
  inputs = {
    plan = "segment-plan";
    latents.each = "ltx2-video-latents";
    sound.each = "ltx2-audio-latents";
    text.each = "ltx2-text";
    model = "ltx2-model";
    previous.optional = "ltx2-segment";
  };
  schemas = [ "state" ];
  modules = [
    "train/ahead.py"
    "train/attention.py"
    "train/context.py"
    "train/counter.py"
    "train/eight_bits.py"
    "train/flow.py"
    "train/fused.py"
    "train/fused_parts.py"
    "train/fused_weights.py"
    "train/gradients.py"
    "train/loader.py"
    "train/lora.py"
    "train/lora_kernels.py"
    "train/ltx.py"
    "train/ltx_flow.py"
    "train/ltx_loader.py"
    "train/ltx_memory.py"
    "train/ltx_model.py"
    "train/ltx_padding.py"
    "train/ltx_small.py"
    "train/ltx_trainer.py"
    "train/ltx_transformer.py"
    "train/memory.py"
    "train/norm_kernels.py"
    "train/operands.py"
    "train/plan.py"
    "train/pointwise_kernels.py"
    "train/processes.py"
    "train/products.py"
    "train/rotation_kernels.py"
    "train/schedule.py"
    "train/segment.py"
    "train/strict.py"
    "train/tensors.py"
    "train/text_attention.py"
    "train/trainer.py"
    "train/transformer.py"
  ];
}
