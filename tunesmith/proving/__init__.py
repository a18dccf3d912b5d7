"""Proof, prediction and conversation with a trained run."""
