"""The picture world: captioned scenes whose truth is known, planted faults, and the encoders trained on them."""
