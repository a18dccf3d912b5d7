"""What is put on a pretrained model: adapters, soft prompts, experts."""
