"""What a frozen CLIP says of images, regions, videos and sentences, computed once into a store."""
