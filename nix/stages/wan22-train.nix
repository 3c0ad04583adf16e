# One segment of the training: the state of the one before in, its own state out.
{
  name = "wan22-train";
  kind = "wan22-segment";
  environment = "train";
  inputs = {
    plan = "segment-plan";
    latents.each = "wan22-latents";
    text.each = "wan22-text";
    model = "wan22-model";
    previous.optional = "wan22-segment";
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
    "train/memory.py"
    "train/model.py"
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
    "train/wan.py"
  ];
}
