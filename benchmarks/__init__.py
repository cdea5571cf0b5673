"""Speed and memory of the platform, as ratios to limits measured in the same run."""
