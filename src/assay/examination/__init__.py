"""What examines each family of media: one sample, open in a decoder, before the panel. The pipeline says when."""
