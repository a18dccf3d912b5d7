"""ONNX, for readers of texts that run anywhere: written by torch, run by onnxruntime."""
