"""A page in the browser: pictures and words in, what the models say out (`clipkit demo`)."""
