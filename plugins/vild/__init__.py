"""ViLD: open-vocabulary detection by vision and language distillation (Gu et al., ICLR 2022, arXiv:2104.13921)."""
