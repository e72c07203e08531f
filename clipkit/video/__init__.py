"""What mmengine needs for films and their sentences: data sets and metrics."""
