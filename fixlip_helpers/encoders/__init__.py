"""Models with two towers, how players are removed from what they see, and the game that these make."""
