"""The one training loop with its objectives, optimizers and schedules."""
