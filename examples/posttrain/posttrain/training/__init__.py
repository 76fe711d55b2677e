"""From samples to a loss: the tensors, the mathematics, and what an optimizer keeps."""
