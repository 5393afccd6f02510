"""Siamese methods (SimSiam) and the pair strategies that go with images as such."""
