"""The policy's own answers: how they are sampled, and how they are rewarded."""
