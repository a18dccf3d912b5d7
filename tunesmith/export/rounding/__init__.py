"""Linear weights in few bits, in a folder that transformers and vLLM load (compressed-tensors)."""
