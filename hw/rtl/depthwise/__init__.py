"""The depthwise unit: a multiplier for every channel and kernel column, sums that shift."""
