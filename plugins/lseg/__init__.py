"""LSeg."""
