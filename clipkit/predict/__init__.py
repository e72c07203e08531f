"""A trained model as a Python object, and the files that it writes."""
